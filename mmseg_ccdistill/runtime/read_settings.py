"""Settings of a config that nothing reads: found before anything is built, with the nearest that is read."""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any

from mmengine.config import Config
from mmengine.dist import init_dist
from mmengine.runner import Runner
from mmengine.utils.dl_utils import set_multi_processing
from mmseg.evaluation import IoUMetric
from mmseg.registry import DATASETS, METRICS
from torch.nn.utils import clip_grad_norm_, clip_grad_value_
from torch.utils.data import DataLoader

from ..errors import UserInputError
from .config_parts import arguments_of
from .config_places import dotted_places
from .named_hooks import HOOK_NAMES


def _arguments(*functions: Callable[..., Any]) -> frozenset[str]:
    names = {name for function in functions for name in inspect.signature(function).parameters}
    return frozenset(names - {'self', 'args', 'kwargs'})


#: Top-level names that Runner.from_cfg passes on, that the runner looks up in its ``cfg``, and that the tools use.
READ_NAMES = (_arguments(Runner.__init__) - {'cfg'}) | {
    *('activation_checkpointing', 'channels_last', 'compile', 'custom_imports'),
    'efficient_conv_bn_eval',
    *('find_unused_parameters', 'model_wrapper_cfg', 'runner_type', 'strategy', 'sync_bn'),
    *('tta_model', 'tta_pipeline'),
}

#: Read, but not from where an override puts them.
_ELSEWHERE = {
    'custom_imports': 'it is used while the file is read; set it in the file',
    'launcher': 'the tools set it; use the option --launcher',
}

#: Taken out of a data loader's settings by Runner.build_dataloader; the rest goes to torch's DataLoader.
_LOADER = _arguments(DataLoader.__init__) | {'disable_subprocess_warning', 'num_batch_per_epoch'}

#: What is read of dicts without a type, by the last part of their dotted key: all of it.
_COMPLETE = {
    # Runner.setup_env
    'env_cfg': frozenset({'cudnn_benchmark', 'mp_cfg', 'dist_cfg', 'resource_limit'}),
    'mp_cfg': _arguments(set_multi_processing) - {'distributed'},
    'randomness': _arguments(Runner.set_randomness),
    'auto_scale_lr': frozenset({'enable', 'base_batch_size'}),
    'clip_grad': (_arguments(clip_grad_norm_, clip_grad_value_) - {'parameters'}) | {'type'},
}

#: The same for dicts of which a class of the user may read more: only what is close to these is a mistake.
_USUAL = {
    'dist_cfg': _arguments(init_dist) | {'timeout', 'port'},
    # DefaultOptimWrapperConstructor of mmengine, the layer-wise constructors of mmseg, the branch-wise one of ours
    'paramwise_cfg': frozenset({
        *('custom_keys', 'bias_lr_mult', 'bias_decay_mult', 'norm_decay_mult', 'flat_decay_mult'),
        *('dwconv_decay_mult', 'dcn_offset_lr_mult', 'bypass_duplicate', 'force_default_settings'),
        *('num_layers', 'decay_rate', 'decay_type', 'layer_decay_rate', 'constructor'),
    }),
    'custom_keys.*': frozenset({'lr_mult', 'decay_mult'}),
    'test_cfg': frozenset({'mode', 'crop_size', 'stride', 'size', 'size_divisor'}),
}  # fmt: skip

#: Similarity of two names from which one is taken for a slip of the other.
_CLOSE, _VERY_CLOSE = 0.75, 0.86


class UnreadSettingError(UserInputError):
    """A setting has no effect; the message names the nearest one that has."""


def check_overridden_names(
    config: Config,
    path: str,
    overrides: Mapping[str, Any],
    also_read: Collection[str] = (),
    overruled: Mapping[str, str] | None = None,
) -> None:
    """Check that something reads the top-level name of every override.

    Args:
        config: Config without the overrides.
        path: Its file, for the message.
        overrides: Values by dotted key.
        also_read: Top-level names that the calling tool reads beside :data:`READ_NAMES`.
        overruled: Top-level names that it sets itself, and what to do instead.

    Raises:
        UnreadSettingError: At the first that nothing reads: a variable of the config file, a setting without
            the part that it belongs to, or a misspelt name.
    """
    values = config.to_dict()
    read = {*READ_NAMES, *also_read}
    if 'data_preprocessor' in (values.get('model') or {}):
        read.remove('data_preprocessor')  # the runner passes it to a model that has none
    elsewhere = {**_ELSEWHERE, **(overruled or {})}
    for key in overrides:
        name, dot, rest = key.partition('.')
        if name in elsewhere:
            raise UnreadSettingError(
                f'--cfg-options {key}: nothing reads it from here: {elsewhere[name]}.'
            )
        if name in read:
            continue
        is_variable = ', a variable of the file,' if name in values else ''
        raise UnreadSettingError(
            f'--cfg-options {key}: nothing reads {name!r}{is_variable} in the config {path!r}; '
            f'{_instead(name, f"{dot}{rest}", values, read)}.'
        )


def check_settings(config: Config, path: str, overrides: Collection[str] = ()) -> None:
    """Check the names in a config that no class checks when it is built.

    That is: top-level names of the file that are a slip of one that is read, settings of the data loaders, of the
    environment, of gradient clipping, and so on.

    Args:
        config: Config with the overrides.
        path: Its file, for the message.
        overrides: Dotted keys that came from the command line, for the message.

    Raises:
        UnreadSettingError: At the first name that has no effect.
    """
    values = config.to_dict()
    used = {name: value for name, value in values.items() if name in READ_NAMES}
    of_tools = {k: v for k, v in values.items() if k.endswith(('_dataloader', '_evaluator'))}
    for name in values:
        slip = _slip(name)
        if slip is not None and not _equal_places(values[name], used):
            raise UnreadSettingError(
                f'The config {path!r} sets {name!r}, which nothing reads: expected {slip!r}; correct the name, '
                'or give a variable of your own another name.'
            )
    nodes = dict(_dicts({**used, **of_tools}))
    for place, node in nodes.items():
        known, is_complete = _known(place, node, nodes.get(place.rpartition('.')[0], {}))
        for name in node:
            similar = difflib.get_close_matches(name, sorted(known), n=1, cutoff=_CLOSE)
            if not known or name in known or not (is_complete or similar):
                continue
            if (
                place == 'default_hooks'
                and isinstance(node[name], Mapping)
                and 'type' in node[name]
            ):
                continue
            key = f'{place}.{name}'
            given = any(k == key or k.startswith(f'{key}.') for k in overrides)
            origin = f'--cfg-options {key}:' if given else f'The config {path!r} has {key}:'
            such = f', such as {similar[0]!r}' if similar else f': {", ".join(sorted(known))}'
            own = (
                ', or name it in the default of data_prefix of your data set, which says what the class reads'
                if place.endswith('.data_prefix')
                else ''
            )
            raise UnreadSettingError(
                f'{origin} nothing reads {name!r} there; expected a setting of {place}{such}; correct the name or '
                f'take it out{own}.'
            )


def _known(
    place: str, node: Mapping[str, Any], around: Mapping[str, Any]
) -> tuple[Collection[str], bool]:
    """Names that are read of a dict inside another, and whether these are all."""
    parts = place.split('.')
    if len(parts) == 1 and place.endswith('_dataloader'):
        return _LOADER, True
    if place == 'default_hooks':
        return HOOK_NAMES, True
    # mmseg's IoUMetric takes any other setting and drops it.
    if parts[0].endswith('_evaluator') and str(node.get('type')).endswith('IoUMetric'):
        metric = METRICS.get(node['type']) if isinstance(node['type'], str) else node['type']
        is_strict = isinstance(metric, type) and issubclass(metric, IoUMetric)
        return (
            arguments_of(metric).names | {'type', 'keep_results'} if is_strict else ()
        ), is_strict
    if 'type' in node and parts[-1] != 'clip_grad':
        return (), False
    if parts[-1] == 'clip_grad' and parts[0] != 'optim_wrapper':
        return (), False
    if parts[-1] in _COMPLETE and (len(parts) == 1 or parts[-1] in ('mp_cfg', 'clip_grad')):
        return _COMPLETE[parts[-1]], True
    if parts[-2:-1] == ['custom_keys']:
        return _USUAL['custom_keys.*'], False
    if parts[-1] == 'test_cfg' and parts[0] != 'model':
        return (), False
    if parts[-1] == 'data_prefix' and 'type' in around:
        return _folders_of(around['type']), False
    return _USUAL.get(parts[-1], ()), False


def _folders_of(dataset: Any) -> frozenset[str]:
    """The folders that a data set has by default, by their names in ``data_prefix``: its class or one below says so."""
    cls = DATASETS.get(dataset) if isinstance(dataset, str) else dataset
    arguments = (
        inspect.signature(base.__init__).parameters for base in getattr(cls, '__mro__', ())
    )
    defaults = [found['data_prefix'].default for found in arguments if 'data_prefix' in found]
    return frozenset(
        name for default in defaults if isinstance(default, Mapping) for name in default
    )


def _slip(name: str) -> str | None:
    """The read name that a top-level name was meant to be, if it is a slip of one.

    A name that holds a whole read name and more words, such as ``day_val_dataloader``, is one of the user's own.
    """
    if name in READ_NAMES:
        return None
    candidates = sorted(READ_NAMES - {'tta_pipeline', 'tta_model'})
    words = f'_{name}_'
    if any(f'_{candidate}_' in words for candidate in candidates):
        return None
    found = difflib.get_close_matches(name, candidates, n=1, cutoff=_VERY_CLOSE)
    return found[0] if found else None


def _instead(name: str, rest: str, values: Mapping[str, Any], read: Collection[str]) -> str:
    """What to write in the place of an override that nothing reads.

    A variable of the file stands in every place that was made from it; of other names the nearest are a guess.
    """
    used = {key: value for key, value in values.items() if key in read}
    names = sorted((place for place, _ in dotted_places(used)), key=lambda place: place.count('.'))
    inside = [place for place in names if place.endswith(f'.{name}')]
    if isinstance(values.get(name), dict | list | tuple | str) and values[name]:
        same = _equal_places(values[name], used) or _wider_places(values[name], used)
        if same and not (inside and inside[0].count('.') < same[0].count('.')):
            keys = [f'{place}{rest}' for place in same]
            return f'write {" and ".join([", ".join(keys[:-1]), keys[-1]] if keys[1:] else keys)}'
    nearest = _nearest(name, rest, names, inside, read)
    if nearest:
        return f'write {" or ".join(f"{place}{rest}" for place in nearest)}'
    return f'expected a setting inside one of {", ".join(sorted(set(read) & set(values)))}'


def _nearest(
    name: str, rest: str, names: list[str], inside: list[str], read: Collection[str]
) -> list[str]:
    """Dotted keys that are read and close to a top-level name: at most three.

    ``names`` are all keys that are read, the outer ones first, ``inside`` those that end in the name.
    """
    if rest:
        known = set(names)
        whole = [place for place in inside if f'{place}{rest}' in known]
        inside = whole or inside
    if inside:
        shallow = [place for place in inside if place.count('.') == inside[0].count('.')]
        return shallow[:3]
    top = difflib.get_close_matches(name, sorted(read), n=1, cutoff=_CLOSE)
    if top:
        return top
    last = {place.rpartition('.')[2]: place for place in reversed(names)}
    return [last[found] for found in difflib.get_close_matches(name, sorted(last), 1, _CLOSE)]


def _equal_places(value: Any, used: Mapping[str, Any]) -> list[str]:
    """Dotted keys at which the same value stands."""
    return [
        place for place, node in dotted_places(used) if type(node) is type(value) and node == value
    ]


def _wider_places(value: Any, used: Mapping[str, Any]) -> list[str]:
    """Dotted keys of the dicts that took over all of a dict and have more."""
    if not isinstance(value, Mapping):
        return []
    return [
        place
        for place, node in _dicts(used)
        if all(key in node and node[key] == child for key, child in value.items())
    ]


def _dicts(used: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    return ((place, node) for place, node in dotted_places(used) if isinstance(node, Mapping))
