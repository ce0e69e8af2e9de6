"""AdvEnt: what its discriminators see, values, configs."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
from meta_device import meta_device
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmseg.registry import MODELS
from output_space import TWO_LEVELS, batch, build, losses_of, parts_trained
from torch.nn import functional

CONFIGS = Path(__file__).resolve().parents[3] / 'configs/advent'


def test_values_by_hand() -> None:
    model = build(**TWO_LEVELS, type='AdvEntSegmentor').eval()
    assert model.adversarial_form == 'vanilla'
    data = model.data_preprocessor(batch(), True)
    losses = model(**data, mode='loss')
    heads = dict(main=model.night.decode_head, aux=model.night.auxiliary_head)
    for level, weight, part in (('main', 0.001, ''), ('aux', 0.0002, 'aux.')):
        scores = {}
        for domain, images in data['inputs'].items():
            logits = heads[level](model.night.backbone(images))
            p = functional.interpolate(logits, (64, 64), mode='bilinear').softmax(1)
            scores[domain] = model.discriminators[level](-p * p.log2() / math.log2(19))
        source, target = scores.values()
        expected = {
            f'night.{part}loss_adv': weight * functional.softplus(target).mean(),
            f'discriminators.{part}loss': 0.5 * functional.softplus(source).mean()
            + 0.5 * functional.softplus(-target).mean(),
            f'discriminators.{part}score_source': source.mean(),
            f'discriminators.{part}score_target': target.mean(),
        }
        for key, value in expected.items():
            torch.testing.assert_close(losses[key], value, msg=key)


def test_which_parts_a_term_trains() -> None:
    model = build(**TWO_LEVELS, type='AdvEntSegmentor')
    losses = losses_of(model, batch())
    expected = {
        'night.loss_adv': {'layer3', 'layer4', 'head'},
        'night.aux.loss_adv': {'layer3', 'aux'},
        'discriminators.loss': {'discriminator main'},
        'discriminators.aux.loss': {'discriminator aux'},
    }
    assert {key: parts_trained(model, losses[key]) for key in expected} == expected


@pytest.mark.parametrize('name', ['deeplabv2_r101_cs2dz', 'refinenet_small_mini_day2night'])
def test_configs(name: str) -> None:
    """As published: vanilla, two levels, 0.001 and 0.0002, auxiliary cross-entropy 0.1."""
    config = Config.fromfile(str(CONFIGS / f'{name}.py'))
    init_default_scope('mmseg')
    with meta_device():
        model = MODELS.build(config.model)
    assert type(model).__name__ == 'AdvEntSegmentor' and model.adversarial_form == 'vanilla'
    assert model.level_weights == {'main': 0.001, 'aux': 0.0002}
    assert set(model.discriminators) == {'main', 'aux'}
    assert model.night.auxiliary_head.loss_decode.loss_weight == 0.1
    assert config.train_dataloader.dataset.domains == ('source_day', 'target_night')
