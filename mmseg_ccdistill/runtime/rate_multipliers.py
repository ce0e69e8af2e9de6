"""Multipliers of learning rate and weight decay: each needs a number to multiply, in the optimizer's settings."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from mmengine.config import Config
from mmengine.optim import DefaultOptimWrapperConstructor
from mmseg.registry import OPTIM_WRAPPER_CONSTRUCTORS

from ..errors import UserInputError
from .config_places import dotted_places

#: What each setting of mmengine's DefaultOptimWrapperConstructor multiplies.
_MULTIPLIED = {
    **dict.fromkeys(('bias_lr_mult', 'dcn_offset_lr_mult'), 'lr'),
    **dict.fromkeys(
        ('bias_decay_mult', 'norm_decay_mult', 'dwconv_decay_mult', 'flat_decay_mult'),
        'weight_decay',
    ),
}
#: The same for an entry of its ``custom_keys``.
_OF_KEY = {'lr_mult': 'lr', 'decay_mult': 'weight_decay'}
#: Setting by which mmseg's layer-wise constructors are known; they give every group both values.
_LAYER_WISE = ('decay_rate', 'layer_decay_rate')
_PACKAGES = frozenset({'mmengine', 'mmseg', 'mmseg_ccdistill'})


def check_multipliers(config: Config, path: str) -> None:
    """Check that every multiplier of ``paramwise_cfg`` is a number and has one to multiply.

    mmengine reads the optimizer's settings for this, not the defaults of its class.

    Args:
        config: Config; optimizers that a constructor of the user builds are left alone.
        path: Its file, for the message.

    Raises:
        UserInputError: At the first that is no number or has none to multiply.
    """
    wrapper = config.get('optim_wrapper')
    if not isinstance(wrapper, Mapping) or not _is_known(wrapper.get('constructor')):
        return
    for place, node in (('optim_wrapper', wrapper), *dotted_places(wrapper, 'optim_wrapper')):
        recipe = node.get('paramwise_cfg') if isinstance(node, Mapping) else None
        if not isinstance(recipe, Mapping):
            continue
        key, optimizer = place, node  # a part of several optimizers has its recipe inside
        if isinstance(node.get('optimizer'), Mapping):
            key, optimizer = f'{place}.optimizer', node['optimizer']
        for name, value, is_dict, multiplied in _multipliers(recipe):
            setting = f'{place}.paramwise_cfg.{name}'
            if not isinstance(value, Mapping if is_dict else int | float):
                what = 'a dict, such as norm=dict(decay_mult=0.0)' if is_dict else 'a number'
                raise UserInputError(
                    f'The config {path!r} has {setting}={value!r}: expected {what}; correct it.'
                )
            if optimizer.get(multiplied) is None:
                raise UserInputError(
                    f'The config {path!r} has {setting}, and no {key}.{multiplied} that it could multiply: expected a '
                    f'number there, the default of the class does not count; set {key}.{multiplied}, or take '
                    f'{setting} out.'
                )


def _is_known(constructor: Any) -> bool:
    kind = constructor
    if constructor is None:
        kind = DefaultOptimWrapperConstructor
    elif not isinstance(constructor, type):
        kind = OPTIM_WRAPPER_CONSTRUCTORS.get(str(constructor))
    return isinstance(kind, type) and kind.__module__.partition('.')[0] in _PACKAGES


def _multipliers(recipe: Mapping[str, Any]) -> Iterator[tuple[str, Any, bool, str]]:
    """Yield (key in ``paramwise_cfg``, value, whether it must be a dict, what it multiplies)."""
    for name, value in recipe.items():
        if name in _MULTIPLIED and value is not None:
            yield name, value, False, _MULTIPLIED[name]
        elif name in _LAYER_WISE:
            yield name, value, False, 'lr'
            yield name, value, False, 'weight_decay'
    if 'custom_keys' not in recipe or recipe['custom_keys'] == {}:
        return
    yield 'custom_keys', recipe['custom_keys'], True, 'lr'  # multiplied by 1 without an lr_mult
    for name, entry in recipe['custom_keys'].items():
        yield f'custom_keys.{name}', entry, True, 'lr'
        for setting, multiplied in _OF_KEY.items():
            if setting in entry:
                yield f'custom_keys.{name}.{setting}', entry[setting], False, multiplied
