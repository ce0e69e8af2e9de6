"""AdaptSegNet: values, which term reaches what, two processes, export, configs."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist
from domain_batch import domain_batch
from meta_device import meta_device
from mmengine.config import Config, ConfigDict
from mmengine.model import MMDistributedDataParallel
from mmengine.optim import build_optim_wrapper
from mmengine.registry import init_default_scope
from mmseg.registry import MODELS
from torch import Tensor, nn
from torch.nn import functional
from two_ranks import run_two_ranks

import mmseg_ccdistill  # noqa: F401

CONFIGS = Path(__file__).resolve().parents[3] / 'configs'
NORM = dict(type='BN')
MODEL = dict(
    type='AdaptSegNetSegmentor',
    data_preprocessor=dict(
        type='CrossDomainPreprocessor', mean=[127.5] * 3, std=[60.0] * 3, size=(64, 64)
    ),
    segmentor=dict(
        type='EncoderDecoder',
        backbone=dict(type='ResNet', depth=18, base_channels=4, stem_channels=4, norm_cfg=NORM),
        decode_head=dict(
            type='FCNHead', in_channels=32, in_index=3, channels=8, num_convs=1, dropout_ratio=0.1,
            concat_input=False, num_classes=19, norm_cfg=NORM,
            loss_decode=dict(type='WeightedCrossEntropyLoss'),
        ),
        train_cfg=dict(),
        test_cfg=dict(mode='whole'),
    ),
    discriminator=dict(type='OutputDiscriminator'),
)  # fmt: skip
OPTIM = dict(
    constructor='JointOptimWrapperConstructor',
    optimizer=dict(
        night=dict(type='SGD', lr=1e-2, momentum=0.9),
        discriminators=dict(type='Adam', lr=1e-4, betas=(0.9, 0.99)),
    ),
)


def build(**changes: Any) -> Any:
    init_default_scope('mmseg')
    torch.manual_seed(0)
    model = MODELS.build(ConfigDict(copy.deepcopy({**MODEL, **changes})))
    model.init_weights()
    return model


def batch(seed: int = 1) -> dict[str, Any]:
    whole = domain_batch(seed=seed)
    domains = ('source_day', 'target_night')
    return {key: {d: whole[key][d] for d in domains} for key in whole}


def losses_of(model: nn.Module, data: dict[str, Any]) -> dict[str, Tensor]:
    return model(**model.data_preprocessor(data, True), mode='loss')


def touched(model: nn.Module, term: Tensor) -> dict[str, bool]:
    model.zero_grad()
    term.backward(retain_graph=True)
    return {
        name: any(p.grad is not None and bool(p.grad.any()) for p in part.parameters())
        for name, part in (
            ('backbone', model.night.backbone),
            ('head', model.night.decode_head),
            ('discriminators', model.discriminators),
        )
    }


@pytest.mark.parametrize(
    ('form', 'weight', 'error'),
    [
        ('least_squares', 0.01, lambda s, y: (s - y).square().mean()),
        (
            'vanilla',
            0.001,
            lambda s, y: functional.binary_cross_entropy_with_logits(s, torch.full_like(s, y)),
        ),
    ],
)
def test_values_by_hand(form: str, weight: float, error: Callable) -> None:
    model = build(adversarial_form=form, adversarial_weight=weight).eval()
    data = model.data_preprocessor(batch(), True)
    losses = model(**data, mode='loss')
    logits = {
        domain: functional.interpolate(model.night._forward(images), (64, 64), mode='bilinear')
        for domain, images in data['inputs'].items()
    }
    scores = {d: model.discriminators['main'](z.softmax(1)) for d, z in logits.items()}
    labels = torch.cat([s.gt_sem_seg.data for s in data['data_samples']['source_day']])
    expected = {
        'source_day.loss_seg': functional.cross_entropy(logits['source_day'], labels),
        'night.loss_adv': weight * error(scores['target_night'], 0.0),
        'discriminators.loss': 0.5 * error(scores['source_day'], 0.0)
        + 0.5 * error(scores['target_night'], 1.0),
        'discriminators.score_source': scores['source_day'].mean(),
        'discriminators.score_target': scores['target_night'].mean(),
    }
    assert losses.keys() == expected.keys()
    for key, value in expected.items():
        torch.testing.assert_close(losses[key], value.detach(), check_stride=False, msg=key)


def test_which_parts_a_term_trains() -> None:
    model = build()
    losses = losses_of(model, batch())
    network = dict(backbone=True, head=True, discriminators=False)
    assert touched(model, losses['source_day.loss_seg']) == network
    assert touched(model, losses['night.loss_adv']) == network
    assert touched(model, losses['discriminators.loss']) == dict(
        backbone=False, head=False, discriminators=True
    )


def test_source_and_target_are_two_passes_source_first() -> None:
    model = build()
    seen: list[Tensor] = []
    model.night.backbone.register_forward_pre_hook(lambda module, args: seen.append(args[0]))
    data = model.data_preprocessor(batch(), True)
    model(**data, mode='loss')
    assert len(seen) == 2
    assert torch.equal(seen[0], data['inputs']['source_day'])
    assert torch.equal(seen[1], data['inputs']['target_night'])
    assert model.night.backbone.bn1.num_batches_tracked == 2


def test_the_discriminator_leaves_no_trace_in_the_random_stream() -> None:
    torch.manual_seed(0)
    plain = MODELS.build(ConfigDict(copy.deepcopy(MODEL['segmentor'])))
    plain.init_weights()
    ours = build().night.state_dict()
    assert all(torch.equal(ours[name], value) for name, value in plain.state_dict().items())


def test_an_export_has_no_discriminator() -> None:
    model = build()
    state, left = model.export_branch('night')
    plain = MODELS.build(ConfigDict(copy.deepcopy(MODEL['segmentor'])))
    plain.load_state_dict(state, strict=True)
    assert left and all(name.startswith('discriminators.main.') for name in left)
    image = torch.randn(1, 3, 64, 64)
    model.eval()
    before = model(image)
    del model.discriminators
    assert torch.equal(model(image), before) and torch.equal(plain.eval()(image), before)


@pytest.mark.parametrize(
    ('changes', 'sentence'),
    [
        (
            dict(adversarial_form='hinge'),
            "adversarial_form must be one of ('vanilla', 'least_squares'), got 'hinge'.",
        ),
        (
            dict(adversarial_weight=0),
            'adversarial_weight must be positive, got 0: for no adaptation train the source-only config.',
        ),
        (
            dict(discriminator=dict(type='OutputDiscriminator', in_channels=5)),
            'discriminator.in_channels is 5, but the decode head has 19 classes: set '
            'model.discriminator.in_channels=19.',
        ),
    ],
)
def test_mistakes_end_at_build(changes: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValueError) as caught:
        build(**changes)
    assert str(caught.value).endswith(sentence)


def _two_steps(rank: int, folder: str) -> None:
    """One of two processes: its own batch, gradients of the first step, weights after two."""
    torch.set_num_threads(1)
    init = f'file://{folder}/rendezvous'
    dist.init_process_group('gloo', init_method=init, rank=rank, world_size=2)
    model = build().eval()  # no dropout, no batch statistics: gradients are those of the data alone
    wrapped = MMDistributedDataParallel(model)
    wrapper = build_optim_wrapper(wrapped, ConfigDict(copy.deepcopy(OPTIM)))
    gradients: list[Tensor] = []
    for _ in range(2):
        data = wrapped.module.data_preprocessor(batch(rank + 1), True)
        losses, _ = wrapped.module.parse_losses(wrapped(**data, mode='loss'))
        wrapper.zero_grad()
        losses.backward()
        gradients = gradients or [p.grad.clone() for p in model.parameters()]
        wrapper.step()
    torch.save([gradients, model.state_dict()], f'{folder}/{rank}.pt')
    dist.destroy_process_group()


def test_two_processes_train_one_model(tmp_path: Path) -> None:
    run_two_ranks(_two_steps, str(tmp_path))
    found = [torch.load(tmp_path / f'{rank}.pt', weights_only=True) for rank in (0, 1)]
    assert all(torch.equal(value, found[1][1][name]) for name, value in found[0][1].items())
    model = build().eval()
    single = []
    for rank in (0, 1):
        model.zero_grad()
        model.parse_losses(losses_of(model, batch(rank + 1)))[0].backward()
        single.append([p.grad.clone() for p in model.parameters()])
    for a, b, mean in zip(*single, found[0][0], strict=True):
        torch.testing.assert_close((a + b) / 2, mean, rtol=1e-4, atol=1e-7)


@pytest.mark.parametrize(
    ('name', 'optimizer', 'parameters', 'tensors'),
    [
        ('deeplabv2_r101_cs2dz', dict(type='SGD', lr=2.5e-4, weight_decay=5e-4), 43_901_068, 632),
        (
            'refinenet_small_mini_day2night',
            dict(type='AdamW', lr=1e-3, weight_decay=0.01),
            3_468_243,
            None,
        ),
    ],
)
def test_configs(
    name: str, optimizer: dict[str, Any], parameters: int, tensors: int | None
) -> None:
    """Single level, least squares, 0.01; unweighted cross-entropy; an optimizer for each player."""
    config = Config.fromfile(str(CONFIGS / f'adaptsegnet/{name}.py'))
    init_default_scope('mmseg')
    with meta_device():
        model = MODELS.build(config.model)
    assert sum(p.numel() for p in model.night.parameters()) == parameters
    assert sum(p.numel() for p in model.discriminators.parameters()) == 2_781_121
    assert tensors in (None, len(model.night.state_dict()))
    assert not model.night.with_auxiliary_head
    assert model.night.decode_head.loss_decode.class_weight is None
    assert (model.adversarial_form, model.adversarial_weight) == ('least_squares', 0.01)
    assert config.train_dataloader.dataset.domains == ('source_day', 'target_night')
    parts = build_optim_wrapper(model, config.optim_wrapper).optimizer.parts
    found = parts['night'].param_groups[0]
    assert type(parts['night']).__name__ == optimizer['type']
    assert found['weight_decay'] == optimizer['weight_decay']
    rates = {group['lr'] for group in parts['night'].param_groups}
    head = 10 if 'deeplab' in name else 1
    assert rates == {optimizer['lr'], head * optimizer['lr']}
    (own,) = parts['discriminators'].param_groups
    assert type(parts['discriminators']) is torch.optim.Adam
    assert (own['lr'], own['betas'], own['weight_decay']) == (1e-4, (0.9, 0.99), 0)
    trained = {id(p) for part in parts.values() for g in part.param_groups for p in g['params']}
    assert trained == {id(p) for p in model.parameters() if p.requires_grad}
