"""Which images meet in a batch, what the teacher sees, and at which size losses are taken."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mmseg_ccdistill.domains import DOMAINS
from mmseg_ccdistill.models.losses import (
    CITYSCAPES_FREQUENCIES,
    class_balance_weights,
    static_loss,
)

W = class_balance_weights(CITYSCAPES_FREQUENCIES)


def losses_of(model: nn.Module, batch: dict[str, Any]) -> dict[str, Tensor]:
    data = model.data_preprocessor(batch, True)
    torch.manual_seed(3)
    return model(**data, mode='loss')


def upsampled(branch: nn.Module, images: Tensor) -> Tensor:
    """Logits of a branch, bilinear to the size of the images with aligned corners."""
    logits = branch.decode_head(branch.backbone(images))
    return F.interpolate(logits, images.shape[2:], mode='bilinear', align_corners=True)


def pseudo_labels_of(model: nn.Module, batch: dict[str, Any]) -> Tensor:
    seen: list[Tensor] = []
    model.loss_pseudo.register_forward_pre_hook(lambda module, args: seen.append(args[1]))
    losses_of(model, batch)
    return seen[-1]


def test_source_and_target_never_meet_in_a_batch(build: Callable, batch: dict[str, Any]) -> None:
    other = copy.deepcopy(batch)
    for domain in ('target_day', 'target_night'):
        other['inputs'][domain] = [255 - image for image in other['inputs'][domain]]
    for light in ('day', 'night'):
        model = build()
        key = f'source_{light}.loss_seg'
        first = losses_of(model, batch)[key].item()
        branch = getattr(model, light)
        assert branch.backbone.bn1.num_batches_tracked == 2
        assert losses_of(build(), other)[key].item() == first


def test_frozen_batch_statistics(
    build: Callable, batch: dict[str, Any], segmentor_config: dict[str, Any]
) -> None:
    segmentor_config['backbone']['norm_eval'] = True
    model = build(segmentor=segmentor_config).train()
    losses_of(model, batch)
    for branch in (model.day, model.night):
        assert branch.backbone.bn1.num_batches_tracked == 0
        assert not branch.backbone.bn1.running_mean.any()


def test_supervised_loss_is_taken_at_the_size_of_the_labels(
    build: Callable, batch: dict[str, Any]
) -> None:
    model = build().eval()
    batch['data_samples']['source_day'][0].gt_sem_seg.data[:, :20] = 255
    data = model.data_preprocessor(batch, True)
    losses = losses_of(model, batch)
    for domain in ('source_day', 'source_night'):
        samples = data['data_samples'][domain]
        labels = torch.cat([sample.gt_sem_seg.data for sample in samples])
        branch = getattr(model, domain.split('_')[1])
        logits = upsampled(branch, data['inputs'][domain])
        expected = F.cross_entropy(logits, labels, W, ignore_index=255)
        assert losses[f'{domain}.loss_seg'].item() == pytest.approx(expected.item(), rel=1e-5)


def test_a_neck_stands_between_the_backbone_and_all_heads(
    build: Callable, batch: dict[str, Any], segmentor_config: dict[str, Any]
) -> None:
    """F_D is the map in front of it."""
    auxiliary = dict(type='FCNHead', in_index=1, channels=4, num_convs=1, num_classes=19)
    auxiliary['loss_decode'] = dict(type='WeightedCrossEntropyLoss', loss_weight=0.4)
    segmentor_config['neck'] = dict(
        type='FPN', in_channels=[8, 16, 32, 64], out_channels=12, num_outs=4
    )
    segmentor_config['decode_head']['in_channels'] = [12] * 4
    segmentor_config['auxiliary_head'] = [dict(auxiliary, in_channels=12) for _ in range(2)]
    model = build(segmentor=segmentor_config).eval()
    seen: dict[str, Tensor] = {}
    model.loss_cds.register_forward_pre_hook(lambda module, args: seen.update(args[0]))
    data = model.data_preprocessor(batch, True)
    losses = losses_of(model, batch)
    for domain in DOMAINS:
        branch = getattr(model, domain.split('_')[1])
        maps = branch.backbone(data['inputs'][domain])
        assert torch.equal(seen[domain], maps[3])
        if domain.startswith('target'):
            continue
        labels = torch.cat([sample.gt_sem_seg.data for sample in data['data_samples'][domain]])
        pyramid = branch.neck(maps)
        expected = []
        for head in (branch.decode_head, *branch.auxiliary_head):
            logits = F.interpolate(
                head(pyramid), labels.shape[1:], mode='bilinear', align_corners=head.align_corners
            )
            weight = W if head is branch.decode_head else None
            expected.append(F.cross_entropy(logits, labels, weight).item())
        assert losses[f'{domain}.loss_seg'].item() == pytest.approx(expected[0], rel=1e-5)
        # Two heads of weight 0.4, added up once.
        assert losses[f'{domain}.aux.loss_seg'].item() == pytest.approx(
            0.4 * (expected[1] + expected[2]), rel=1e-5
        )


def test_pixels_are_sampled_where_the_head_asks_for_it(
    build: Callable, batch: dict[str, Any], segmentor_config: dict[str, Any]
) -> None:
    """Online hard example mining: the 50 pixels of the largest loss per image of the batch."""
    segmentor_config['decode_head']['sampler'] = dict(type='OHEMPixelSampler', min_kept=50)
    model = build(segmentor=segmentor_config).eval()
    data = model.data_preprocessor(batch, True)
    loss = losses_of(model, batch)['source_day.loss_seg']
    labels = torch.cat([sample.gt_sem_seg.data for sample in data['data_samples']['source_day']])
    logits = upsampled(model.day, data['inputs']['source_day'])
    hardest = F.cross_entropy(logits, labels, W, reduction='none').flatten().topk(100)
    expected = hardest.values.sum() / W[labels.flatten()[hardest.indices]].sum()
    assert loss.item() == pytest.approx(expected.item(), rel=1e-4)
    assert loss.item() > F.cross_entropy(logits, labels, W).item() * 1.01


def test_pseudo_loss_by_hand(build: Callable, batch: dict[str, Any]) -> None:
    """Labels from M_d on T_d, at the size of the images; the loss is that of M_n on T_n."""
    model = build().eval()
    with torch.no_grad():
        for parameter in model.day.decode_head.conv_seg.parameters():
            parameter.mul_(50)  # so that the classes of M_d vary
    images = model.data_preprocessor(batch, True)['inputs']
    day = upsampled(model.day, images['target_day'])
    labels = (day.softmax(1) * W.view(1, 19, 1, 1)).argmax(1)
    labels = labels.masked_fill(labels >= 11, 255)
    assert 0 < (labels == 255).float().mean() < 1 and labels.unique().numel() > 2
    expected = static_loss(upsampled(model.night, images['target_night']), labels, W)
    assert torch.equal(pseudo_labels_of(model, batch), labels)
    value = losses_of(model, batch)['target_night.loss_pseudo'].item()
    assert value == pytest.approx(expected.item(), rel=1e-5)


def test_blended_labels_take_the_night_from_m_n(build: Callable, batch: dict[str, Any]) -> None:
    """DANNet's mixture: a day + (1 - a) night, a = 0.8 where a static class's day logit exceeds 0.4, else 0.2."""
    model = build(loss_pseudo=dict(type='StaticLoss', blend=(0.8, 0.2, 0.4), reweight='logits'))
    model.eval()
    with torch.no_grad():
        for branch in (model.day, model.night):
            for parameter in branch.decode_head.conv_seg.parameters():
                parameter.mul_(50)
        classifier = model.night.decode_head.conv_seg.weight
        classifier.copy_(classifier.flip(0))  # so that the two branches differ
    images = model.data_preprocessor(batch, True)['inputs']
    day = upsampled(model.day, images['target_day'])
    night = upsampled(model.night, images['target_night'])
    share = torch.where(day > 0.4, 0.8, 0.2)
    share[:, 11:] = 0
    weight = W.view(1, 19, 1, 1)
    labels = ((share * day + (1 - share) * night) * weight).argmax(1)
    labels = labels.masked_fill(labels >= 11, 255)
    assert torch.equal(pseudo_labels_of(model, batch), labels)
    static = labels != 255
    assert ((day * weight).argmax(1)[static] != labels[static]).any()


def test_teacher_in_evaluation_mode_has_neither_dropout_nor_batch_statistics(
    build: Callable, batch: dict[str, Any]
) -> None:
    labels = {}
    for mode in ('train', 'eval'):
        model = build(teacher_mode=mode).train()
        images = model.data_preprocessor(batch, True)['inputs']
        reference = copy.deepcopy(model.day).eval()
        logits = upsampled(reference, images['target_day'])
        expected = (logits.softmax(1) * W.view(1, 19, 1, 1)).argmax(1)
        expected = expected.masked_fill(expected >= 11, 255)
        # The first pass moves the running statistics, which the extra pass would read.
        for branch in (model.day, model.night):
            for module in branch.modules():
                if isinstance(module, nn.BatchNorm2d):
                    module.momentum = 0.0
        labels[mode] = (pseudo_labels_of(model, batch), expected)
    assert torch.equal(*labels['eval'])
    assert not torch.equal(*labels['train'])


@pytest.mark.parametrize(
    ('overrides', 'learns'),
    [
        ({}, True),
        (dict(loss_cdc=None, loss_cds=None), False),
        (dict(distill_into='night'), False),
    ],
)
def test_target_day_has_a_graph_only_if_it_is_distilled(
    build: Callable, batch: dict[str, Any], overrides: dict[str, Any], learns: bool
) -> None:
    """Pseudo labels alone need no gradient of M_d on T_d: S_d has a graph, T_d has none."""
    model = build(**overrides)
    graphs: list[bool] = []
    model.day.backbone.register_forward_hook(
        lambda module, args, output: graphs.append(output[-1].requires_grad)
    )
    losses_of(model, batch)
    assert graphs == [True, learns]


def test_every_domain_goes_to_its_own_branch(build: Callable, batch: dict[str, Any]) -> None:
    model = build()
    images = model.data_preprocessor(batch, True)['inputs']
    seen: dict[str, list[Tensor]] = {'day': [], 'night': []}
    for light, calls in seen.items():
        getattr(model, light).backbone.register_forward_hook(
            lambda module, args, output, calls=calls: calls.append(args[0])
        )
    losses_of(model, batch)
    for domain in DOMAINS:
        light = domain.split('_')[1]
        assert sum(torch.equal(images[domain], x) for x in seen[light]) == 1
    assert len(seen['day']) == len(seen['night']) == 2
