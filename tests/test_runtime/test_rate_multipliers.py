"""A multiplier without a number to multiply ends in one sentence."""

from __future__ import annotations

from typing import Any

import pytest
from mmengine.config import Config
from mmengine.optim import build_optim_wrapper
from mmengine.registry import init_default_scope
from torch import nn

import mmseg_ccdistill.engine.optimizers  # noqa: F401
from mmseg_ccdistill.errors import UserInputError
from mmseg_ccdistill.runtime.rate_multipliers import check_multipliers

PLAIN = dict(type='SGD', lr=0.1)
FULL = dict(PLAIN, weight_decay=0.0)


def check(**wrapper: Any) -> None:
    init_default_scope('mmseg')
    check_multipliers(Config(dict(optim_wrapper=wrapper)), 'c.py')


@pytest.mark.parametrize(
    'name', ['bias_decay_mult', 'norm_decay_mult', 'dwconv_decay_mult', 'flat_decay_mult']
)
def test_weight_decay_is_needed(name) -> None:
    check(optimizer=FULL, paramwise_cfg={name: 0.0})
    with pytest.raises(UserInputError) as raised:
        check(optimizer=PLAIN, paramwise_cfg={name: 0.0})
    assert str(raised.value) == (
        f"The config 'c.py' has optim_wrapper.paramwise_cfg.{name}, and no optim_wrapper.optimizer.weight_decay that "
        'it could multiply: expected a number there, the default of the class does not count; set '
        f'optim_wrapper.optimizer.weight_decay, or take optim_wrapper.paramwise_cfg.{name} out.'
    )


@pytest.mark.parametrize(
    ('recipe', 'setting', 'multiplied'),
    [
        (dict(bias_lr_mult=2.0), 'bias_lr_mult', 'lr'),
        (dict(custom_keys=dict(head=dict(lr_mult=2.0))), 'custom_keys', 'lr'),
        (dict(custom_keys=dict(head=dict(decay_mult=0.0))), 'custom_keys', 'lr'),
    ],
)
def test_a_rate_is_needed(recipe, setting, multiplied) -> None:
    optimizer = dict(type='Adadelta', weight_decay=0.1)
    with pytest.raises(UserInputError, match=f'{setting}, and no .*optimizer.{multiplied} that'):
        check(optimizer=optimizer, paramwise_cfg=recipe)


def test_each_entry_of_custom_keys_is_read() -> None:
    recipe = dict(custom_keys=dict(norm=dict(lr_mult=1.0), bias=dict(decay_mult=0.0)))
    check(optimizer=FULL, paramwise_cfg=recipe)
    with pytest.raises(
        UserInputError, match=r'custom_keys\.bias\.decay_mult, and no .*weight_decay'
    ):
        check(optimizer=PLAIN, paramwise_cfg=recipe)


def test_the_parts_of_several_optimizers() -> None:
    parts = dict(
        night=dict(PLAIN, paramwise_cfg=dict(norm_decay_mult=0.0)), discriminators=dict(type='Adam')
    )
    with pytest.raises(UserInputError) as raised:
        check(constructor='JointOptimWrapperConstructor', optimizer=parts)
    assert (
        'has optim_wrapper.optimizer.night.paramwise_cfg.norm_decay_mult, and no '
        'optim_wrapper.optimizer.night.weight_decay that'
    ) in str(raised.value)


def test_layer_wise_rates_need_both() -> None:
    recipe = dict(constructor='LearningRateDecayOptimizerConstructor', decay_rate=0.9)
    wrapper = dict(constructor='BranchwiseOptimWrapperConstructor', paramwise_cfg=recipe)
    check(optimizer=FULL, **wrapper)
    with pytest.raises(UserInputError, match=r'paramwise_cfg\.decay_rate, and no .*weight_decay'):
        check(optimizer=PLAIN, **wrapper)


@pytest.mark.parametrize(
    ('recipe', 'setting'),
    [
        (dict(norm_decay_mult='0'), "norm_decay_mult='0'"),
        (dict(custom_keys=['norm']), "custom_keys=['norm']"),
        (dict(custom_keys={'norm.0': 0.0}), 'custom_keys.norm.0=0.0'),
        (dict(custom_keys=dict(norm=dict(lr_mult='2'))), "custom_keys.norm.lr_mult='2'"),
    ],
)
def test_a_multiplier_is_a_number(recipe, setting) -> None:
    with pytest.raises(UserInputError) as raised:
        check(optimizer=FULL, paramwise_cfg=recipe)
    assert str(raised.value).startswith(
        f"The config 'c.py' has optim_wrapper.paramwise_cfg.{setting}: expected a "
    )


def test_a_constructor_of_the_user_is_left_alone() -> None:
    check(constructor='MyConstructor', optimizer=PLAIN, paramwise_cfg=dict(norm_decay_mult=0.0))
    check(optimizer=PLAIN)
    check(optimizer=PLAIN, paramwise_cfg=None)


def test_mmengine_asks_for_the_same_number() -> None:
    """What is refused here, mmengine refuses, too; without the check it says base_wd."""
    for name in ('bias_decay_mult', 'norm_decay_mult', 'dwconv_decay_mult'):
        wrapper = dict(type='OptimWrapper', optimizer=dict(PLAIN), paramwise_cfg={name: 0.0})
        with pytest.raises(ValueError, match='base_wd should not be None'):
            build_optim_wrapper(nn.Linear(1, 1), wrapper)
