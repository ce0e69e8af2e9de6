"""MinEnt: values, ranking, prior, which term reaches what, configs, mistakes."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from meta_device import meta_device
from mmengine.config import Config
from mmengine.optim import build_optim_wrapper
from mmengine.registry import init_default_scope
from mmseg.registry import MODELS
from output_space import MODEL, TWO_LEVELS, batch, build, losses_of, parts_trained
from torch import Tensor
from torch.nn import functional

from mmseg_ccdistill.models.losses import CITYSCAPES_FREQUENCIES

CONFIGS = Path(__file__).resolve().parents[3] / 'configs/advent'
MINENT = dict(type='MinEntSegmentor', discriminator=None)


def night_probabilities(model: Any, data: dict[str, Any], level: str) -> Tensor:
    head = model.night.decode_head if level == 'main' else model.night.auxiliary_head
    logits = head(model.night.backbone(data['inputs']['target_night']))
    return functional.interpolate(logits, (64, 64), mode='bilinear').softmax(1)


def test_values_by_hand() -> None:
    model = build(**TWO_LEVELS, **MINENT).eval()
    data = model.data_preprocessor(batch(), True)
    losses = model(**data, mode='loss')
    assert list(losses) == [
        *('source_day.loss_seg', 'source_day.aux.loss_seg'),
        *('night.loss_ent', 'night.aux.loss_ent', 'night.largest_class'),
    ]
    for level, weight, key in (
        ('main', 0.001, 'night.loss_ent'),
        ('aux', 0.0002, 'night.aux.loss_ent'),
    ):
        p = night_probabilities(model, data, level)
        expected = weight * -(p * p.log2()).sum(1).mean() / math.log2(19)
        torch.testing.assert_close(losses[key], expected)
    logits = model.night._forward(data['inputs']['target_night'])
    counts = logits.argmax(1).flatten().bincount(minlength=19)
    assert losses['night.largest_class'] == counts.max() / counts.sum()


def test_ranking_and_prior_by_hand() -> None:
    model = build(**MINENT, hardest=0.3, class_prior_weight=2.0).eval()
    data = model.data_preprocessor(batch(), True)
    losses = model(**data, mode='loss')
    p = night_probabilities(model, data, 'main')
    entropy = -(p * p.log2()).sum(1).flatten(1) / math.log2(19)
    hardest = entropy.sort(1, descending=True).values[:, : round(0.3 * 64 * 64)]
    torch.testing.assert_close(losses['night.loss_ent'], 0.001 * hardest.mean())
    prior = torch.tensor(CITYSCAPES_FREQUENCIES)
    missing = (0.5 * prior / prior.sum() - p.mean((2, 3))).clamp_min(0).sum(1).mean()
    assert missing > 0
    torch.testing.assert_close(losses['night.loss_prior'], 2.0 * missing)


def test_which_parts_a_term_trains() -> None:
    model = build(**TWO_LEVELS, **MINENT, class_prior_weight=1.0)
    losses = losses_of(model, batch())
    expected = {
        'night.loss_ent': {'layer3', 'layer4', 'head'},
        'night.aux.loss_ent': {'layer3', 'aux'},
        'night.loss_prior': {'layer3', 'layer4', 'head'},
    }
    assert {key: parts_trained(model, losses[key]) for key in expected} == expected


@pytest.mark.parametrize(
    ('changes', 'sentence'),
    [
        (
            dict(entropy_weight=-1.0),
            'entropy_weight must be positive, got -1.0: for no adaptation train the source-only config.',
        ),
        (
            dict(hardest=30),
            'hardest must be a share of the pixels above 0 and at most 1, got 30: leave it out for all pixels.',
        ),
        (
            dict(class_prior_weight=-1),
            'class_prior_weight must not be negative, got -1: 0 turns the prior off.',
        ),
        (
            dict(class_prior_weight=1.0, class_prior=(0.5, 0.5)),
            'class_prior must be 19 positive numbers, one for each class, got (0.5, 0.5): give the share of each class '
            'in the labels of the source.',
        ),
    ],
)
def test_mistakes_end_at_build(changes: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValueError) as caught:
        build(**MINENT, **changes)
    assert str(caught.value).endswith(sentence)


def test_the_prior_of_other_classes_must_be_given() -> None:
    head = {**MODEL['segmentor']['decode_head'], 'num_classes': 3}
    small = {**MODEL['segmentor'], 'decode_head': head}
    with pytest.raises(ValueError, match='class_prior must be 3 positive numbers'):
        build(**MINENT, segmentor=small, class_prior_weight=1.0)
    model = build(**MINENT, segmentor=small, class_prior_weight=1.0, class_prior=(2, 1, 1))
    assert model.class_prior.tolist() == [0.5, 0.25, 0.25]
    assert 'class_prior' not in model.state_dict()


@pytest.mark.parametrize('name', ['deeplabv2_r101_cs2dz', 'refinenet_small_mini_day2night'])
def test_configs(name: str) -> None:
    """As published: two levels, 0.001 and 0.0002; network and recipe of AdvEnt, without a discriminator."""
    config = Config.fromfile(str(CONFIGS / f'{name}_minent.py'))
    rival = Config.fromfile(str(CONFIGS / f'{name}.py'))
    init_default_scope('mmseg')
    with meta_device():
        model = MODELS.build(config.model)
    assert model.level_weights == {'main': 0.001, 'aux': 0.0002}
    assert model.hardest is None and model.class_prior is None
    assert config.model.segmentor == rival.model.segmentor
    assert config.optim_wrapper.optimizer.night == rival.optim_wrapper.optimizer.night
    assert list(build_optim_wrapper(model, config.optim_wrapper).optimizer.parts) == ['night']
    assert config.train_dataloader == rival.train_dataloader
