"""AdaptSegNet: values, which term reaches what, two processes, export, configs."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from meta_device import meta_device
from mmengine.config import Config, ConfigDict
from mmengine.optim import build_optim_wrapper
from mmengine.registry import init_default_scope
from mmseg.registry import MODELS
from output_space import (
    MODEL,
    OPTIM,
    TWO_LEVELS,
    batch,
    build,
    losses_of,
    parts_trained,
)
from output_space_ranks import train_two_ranks
from torch import Tensor
from torch.nn import functional

import mmseg_ccdistill  # noqa: F401

CONFIGS = Path(__file__).resolve().parents[3] / 'configs'


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
    network = {'layer3', 'layer4', 'head'}
    assert parts_trained(model, losses['source_day.loss_seg']) == network
    assert parts_trained(model, losses['night.loss_adv']) == network
    assert parts_trained(model, losses['discriminators.loss']) == {'discriminator main'}


def test_which_parts_a_term_of_two_levels_trains() -> None:
    model = build(**TWO_LEVELS)
    losses = losses_of(model, batch())
    main, auxiliary = {'layer3', 'layer4', 'head'}, {'layer3', 'aux'}
    expected = {
        'source_day.loss_seg': main,
        'source_day.aux.loss_seg': auxiliary,
        'night.loss_adv': main,
        'night.aux.loss_adv': auxiliary,
        'discriminators.loss': {'discriminator main'},
        'discriminators.aux.loss': {'discriminator aux'},
    }
    assert {key for key in losses if 'loss' in key} == expected.keys()
    assert {key: parts_trained(model, losses[key]) for key in expected} == expected


def test_two_levels_by_hand() -> None:
    """The second level is the first with its own head, discriminator and weight; the first stays what it was."""
    model = build(**TWO_LEVELS).eval()
    data = model.data_preprocessor(batch(), True)
    losses = model(**data, mode='loss')
    scores = {}
    for domain, images in data['inputs'].items():
        logits = model.night.auxiliary_head(model.night.backbone(images))
        logits = functional.interpolate(logits, (64, 64), mode='bilinear')
        scores[domain] = model.discriminators['aux'](logits.softmax(1))
        if domain == 'source_day':
            labels = torch.cat([s.gt_sem_seg.data for s in data['data_samples'][domain]])
            supervised = 0.1 * functional.cross_entropy(logits, labels)
    torch.testing.assert_close(losses['source_day.aux.loss_seg'], supervised)
    error = scores['target_night'].square().mean()
    torch.testing.assert_close(losses['night.aux.loss_adv'], 0.0002 * error)
    own = 0.5 * scores['source_day'].square().mean()
    own = own + 0.5 * (scores['target_night'] - 1).square().mean()
    torch.testing.assert_close(losses['discriminators.aux.loss'], own)
    single = losses_of(build().eval(), batch())
    for key in ('discriminators.loss', 'discriminators.score_source'):
        assert single[key].shape == losses[key].shape
    assert single.keys() < losses.keys()


def test_the_discriminators_of_two_levels_are_no_twins() -> None:
    model = build(**TWO_LEVELS)
    main, auxiliary = (model.discriminators[level].layers[0].weight for level in ('main', 'aux'))
    assert not torch.equal(main, auxiliary)
    assert torch.equal(main, build().discriminators['main'].layers[0].weight)


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


@pytest.mark.parametrize(
    'changes',
    [{}, dict(TWO_LEVELS, type='AdvEntSegmentor')],
    ids=['single', 'AdvEnt of two levels'],
)
def test_two_processes_train_one_model(tmp_path: Path, changes: dict[str, Any]) -> None:
    train_two_ranks(tmp_path, changes, ConfigDict(copy.deepcopy(OPTIM)))


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
    assert (model.adversarial_form, model.level_weights) == ('least_squares', {'main': 0.01})
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


def test_config_of_two_levels() -> None:
    """The paper's: vanilla, 0.001 and 0.0002, auxiliary cross-entropy 0.1, both classifiers ten times as fast."""
    config = Config.fromfile(str(CONFIGS / 'adaptsegnet/deeplabv2_r101_cs2dz_multi-level.py'))
    init_default_scope('mmseg')
    with meta_device():
        model = MODELS.build(config.model)
    assert sum(p.numel() for p in model.night.parameters()) == 44_601_560
    assert len(model.night.state_dict()) == 640
    assert sum(p.numel() for p in model.night.auxiliary_head.parameters()) == 700_492
    assert sum(p.numel() for p in model.night.parameters() if p.requires_grad) == 44_496_216
    assert sum(p.numel() for p in model.discriminators.parameters()) == 2 * 2_781_121
    assert model.adversarial_form == 'vanilla'
    assert model.level_weights == {'main': 0.001, 'aux': 0.0002}
    assert model.night.auxiliary_head.loss_decode.loss_weight == 0.1
    parts = build_optim_wrapper(model, config.optim_wrapper).optimizer.parts
    fast = {
        id(p)
        for group in parts['night'].param_groups
        if group['lr'] == 2.5e-3
        for p in group['params']
    }
    heads = [*model.night.decode_head.parameters(), *model.night.auxiliary_head.parameters()]
    assert fast == {id(p) for p in heads}
