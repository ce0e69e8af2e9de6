"""UDAclustering: values, which term trains what, two processes, checkpoints, mistakes, configs."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import torch
from meta_device import meta_device
from mmengine.config import Config, ConfigDict
from mmengine.optim import build_optim_wrapper
from mmengine.registry import init_default_scope
from mmseg.registry import MODELS
from output_space import MODEL, OPTIM, batch, build, losses_of, parts_trained
from output_space_ranks import train_two_ranks
from torch import Tensor
from torch.nn import functional as F

from mmseg_ccdistill.models.losses import max_square_loss
from mmseg_ccdistill.models.segmentors import UDAClusteringSegmentor

CONFIGS = Path(__file__).resolve().parents[3] / 'configs/udaclustering'
UDACLUSTERING: dict[str, Any] = dict(type='UDAClusteringSegmentor', discriminator=None)
TERMS = ('night.loss_cluster', 'night.loss_ortho', 'night.loss_sparse', 'night.loss_square')


def classes_of(p: Tensor, size: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """Of the shrunk probabilities, and of the nearest pixel."""
    shrunk = F.interpolate(p, size, mode='bilinear', align_corners=True).argmax(1)
    nearest = F.interpolate(p.argmax(1)[:, None].float(), size, mode='nearest')[:, 0].long()
    return shrunk.flatten(), nearest.flatten()


@pytest.mark.parametrize('class_source', ['prediction', 'label'])
def test_values_by_hand(class_source: str) -> None:
    """Loops over classes, after the paper's formulas."""
    model = build(**UDACLUSTERING, class_source=class_source).eval()
    data = model.data_preprocessor(batch(), True)
    losses = model(**data, mode='loss')
    diagnostics = ['cluster.ortho', 'cluster.ortho_spread', 'cluster.ortho_gradient']
    assert list(losses) == [
        *('source_day.loss_seg', *TERMS[:3], *diagnostics),
        *(TERMS[3], 'night.largest_class'),
    ]
    features, shrunk, nearest = [], [], []
    labels = torch.stack([s.gt_sem_seg.data for s in data['data_samples']['source_day']])
    for domain, images in data['inputs'].items():
        f = model.night.backbone(images)[-1]
        p = F.interpolate(model.night._forward(images), (64, 64), mode='bilinear').softmax(1)
        size = tuple(f.shape[2:])
        found = classes_of(p, size)
        if domain == 'source_day' and class_source == 'label':
            found = (F.interpolate(labels.float(), size).long().flatten(),) * 2
        features.append(f.permute(0, 2, 3, 1).flatten(0, 2))
        for classes, listed in zip(found, (shrunk, nearest), strict=True):
            listed.append(classes)
    every = torch.cat(features)

    def centroids(classes: list[Tensor]) -> dict[int, Tensor]:
        which = torch.cat(classes)
        return {k: every[which == k].mean(0) for k in which.unique().tolist()}

    means = centroids(shrunk)
    near = sum(
        torch.stack([(f[k == c] - means[c]).abs().mean() for c in k.unique().tolist()]).mean()
        for f, k in zip(features, shrunk, strict=True)
    )
    apart = [(means[a] - means[b]).abs().mean() for a in means for b in means if a != b]
    torch.testing.assert_close(losses[TERMS[0]], 0.02 * (near - sum(apart) / max(len(apart), 1)))
    means = centroids(nearest)
    stacked = torch.stack(list(means.values()))
    q = (every @ stacked.t()).softmax(1)
    torch.testing.assert_close(losses[TERMS[1]], -2 * torch.special.xlogy(q, q).mean())
    ratio = stacked / stacked.amax(1, keepdim=True)
    torch.testing.assert_close(losses[TERMS[2]], -0.5 * (ratio - 0.5).square().mean())
    torch.testing.assert_close(losses[TERMS[3]], 0.1 * max_square_loss(p, 0.2))
    torch.testing.assert_close(2 * losses['cluster.ortho'], losses[TERMS[1]])
    counts = model.night._forward(data['inputs']['target_night']).argmax(1).flatten().bincount()
    assert losses['night.largest_class'] == counts.max() / counts.sum()


def test_which_parts_a_term_trains() -> None:
    model = build(**UDACLUSTERING)
    losses = losses_of(model, batch())
    backbone = {'layer3', 'layer4'}
    assert {key: parts_trained(model, losses[key]) for key in TERMS} == {
        **dict.fromkeys(TERMS[:3], backbone),
        TERMS[3]: {*backbone, 'head'},
    }
    assert not any(losses[key].requires_grad for key in losses if key.startswith('cluster.'))


def test_every_trained_parameter_gets_a_gradient() -> None:
    model = build(**UDACLUSTERING)
    model.parse_losses(losses_of(model, batch()))[0].backward()
    assert [n for n, p in model.named_parameters() if p.requires_grad and p.grad is None] == []


def test_both_domains_train_the_features() -> None:
    model = build(**UDACLUSTERING)
    maps: list[Tensor] = []
    model.night.backbone.layer4.register_forward_hook(lambda module, args, out: maps.append(out))
    losses = losses_of(model, batch())
    for key in TERMS[:3]:
        assert all(g.any() for g in torch.autograd.grad(losses[key], maps, retain_graph=True)), key
    source = torch.autograd.grad(losses[TERMS[3]], maps, retain_graph=True, allow_unused=True)
    assert source[0] is None and source[1].any()  # maximum squares are of T alone


def test_source_and_target_are_two_passes_source_first() -> None:
    model = build(**UDACLUSTERING)
    seen: list[Tensor] = []
    model.night.backbone.register_forward_pre_hook(lambda module, args: seen.append(args[0]))
    data = model.data_preprocessor(batch(), True)
    model(**data, mode='loss')
    assert [torch.equal(x, data['inputs'][d]) for x, d in zip(seen, data['inputs'], strict=True)]
    assert list(data['inputs']) == ['source_day', 'target_night']


def test_bfloat16_autocast_changes_little_and_losses_are_float32() -> None:
    model = build(**UDACLUSTERING, class_source='label').eval()
    exact = losses_of(model, batch())
    with torch.autocast('cpu', torch.bfloat16):
        found = losses_of(model, batch())
    for key in (key for key in exact if 'loss' in key):
        assert found[key].dtype == torch.float32
        torch.testing.assert_close(found[key], exact[key], rtol=0.1, atol=2e-2)


@pytest.mark.parametrize('class_source', ['prediction', 'label'])
def test_a_source_without_a_label_leaves_finite_gradients(class_source: str) -> None:
    model = build(**UDACLUSTERING, class_source=class_source)
    data = batch()
    for sample in data['data_samples']['source_day']:
        sample.gt_sem_seg.data.fill_(255)
    losses = losses_of(model, data)
    assert losses['source_day.loss_seg'] == 0
    assert all(value.isfinite() for value in losses.values())
    model.parse_losses(losses)[0].backward()
    assert all(p.grad.isfinite().all() for p in model.parameters() if p.grad is not None)


def test_one_class_everywhere_is_finite() -> None:
    """A network that says road to all: c, L_or and the rest have a value, and so have the gradients."""
    model = build(**UDACLUSTERING)
    with torch.no_grad():
        model.night.decode_head.conv_seg.bias[0] = 50.0
    losses = losses_of(model, batch())
    assert losses['night.largest_class'] == 1 and losses['night.loss_ortho'] == 0
    model.parse_losses(losses)[0].backward()
    assert all(p.grad.isfinite().all() for p in model.parameters() if p.grad is not None)


def test_the_earlier_map_is_another_one() -> None:
    model = build(**UDACLUSTERING, feature='backbone.-2')
    losses = losses_of(model, batch())
    assert parts_trained(model, losses['night.loss_cluster']) == {'layer3'}


def test_two_processes_train_one_model(tmp_path: Path) -> None:
    """Weights stay equal; each process has clusters of its own batch, so gradients are the mean of two single runs."""
    optim = ConfigDict(copy.deepcopy(OPTIM))
    optim.optimizer.pop('discriminators')
    train_two_ranks(tmp_path, UDACLUSTERING, optim)


def test_a_plain_checkpoint_fills_it_and_an_export_is_plain() -> None:
    model = build(**UDACLUSTERING)
    plain = MODELS.build(ConfigDict(copy.deepcopy(MODEL['segmentor'])))
    model.load_state_dict(plain.state_dict(), strict=False)
    state, left = model.export_branch('night')
    assert left == [] and state.keys() == plain.state_dict().keys()
    assert all(torch.equal(value, state[key]) for key, value in plain.state_dict().items())


@pytest.mark.parametrize(
    ('changes', 'sentence'),
    [
        (
            dict(ortho_weight=-2),
            'ortho_weight must not be negative, got -2: 0 turns the term off.',
        ),
        (
            dict.fromkeys((f'{n}_weight' for n in ('cluster', 'ortho', 'sparse', 'square')), 0),
            'all four weights are 0; for no adaptation train the source-only config.',
        ),
        (
            dict(square_ratio=20),
            'square_ratio must be from 0 (all pixels alike) to 1 (all classes alike), got 20: the published code has '
            '0.2.',
        ),
        (
            dict(class_source='both'),
            "class_source must be one of ('prediction', 'label'), got 'both'.",
        ),
        (dict(ortho_temperature=0), 'ortho_temperature must be positive, got 0.'),
        (
            dict(feature='decode_head'),
            "feature must be 'backbone.<index>' here, got 'decode_head': take 'backbone.-1', the last map.",
        ),
        (
            dict(feature='backbone.4'),
            "feature='backbone.4': ResNet returns 4 maps with channels [4, 8, 16, 32]; choose an index from 0 to 3 or "
            '-1.',
        ),
    ],
)
def test_mistakes_end_at_build(changes: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValueError) as caught:
        build(**UDACLUSTERING, **changes)
    assert str(caught.value).endswith(sentence)


@pytest.mark.parametrize(
    ('name', 'feature', 'rates'),
    [
        ('deeplabv2_r101_cs2dz', 3, {2.5e-4, 2.5e-3}),
        ('refinenet_r101_cs2dz', 3, {2.5e-4}),
        ('refinenet_small_mini_day2night', 3, {1e-3}),
    ],
)
def test_configs(name: str, feature: int, rates: set[float]) -> None:
    """Published weights, classes by prediction; unweighted cross-entropy; one optimizer, no second network."""
    config = Config.fromfile(str(CONFIGS / f'{name}.py'))
    init_default_scope('mmseg')
    with meta_device():
        model = MODELS.build(config.model)
    assert type(model) is UDAClusteringSegmentor
    assert model.weights == dict(cluster=0.02, ortho=2.0, sparse=0.5, square=0.1)
    assert (model.square_ratio, model.class_source) == (0.2, 'prediction')
    assert (model.ortho_normalize, model.ortho_temperature) == (False, 1.0)
    assert model.feature_index % 4 == feature
    assert model.night.decode_head.loss_decode.class_weight is None
    assert config.train_dataloader.dataset.domains == ('source_day', 'target_night')
    assert {name.split('.')[0] for name in model.state_dict()} == {'night'}
    groups = build_optim_wrapper(model, config.optim_wrapper).optimizer.param_groups
    assert sorted({group['lr'] for group in groups}) == pytest.approx(sorted(rates))
    held = [id(p) for group in groups for p in group['params']]
    assert len(held) == len(set(held))
