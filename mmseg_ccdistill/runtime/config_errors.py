"""Values in a config that only show as wrong when its parts are built: the part that refuses them is named."""

from __future__ import annotations

import copy
import inspect
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from mmengine.config import Config
from mmengine.registry import DefaultScope
from torch.utils.data import DataLoader, TensorDataset

from ..errors import UserInputError
from .config_parts import Part, arguments_of, class_of, config_parts, registry_of, scope_of
from .part_checks import LIBRARIES, such_as, unknown_type

_INCOMPLETE = re.compile(r'^(?P<names>\w+, \w+,? and \w+) should be either all None or not None')
_UNKNOWN_SETTING = re.compile(r"__init__\(\) got an unexpected keyword argument '(?P<name>\w+)'")
_MISSING_SETTING = re.compile(
    r'__init__\(\) missing \d+ required [\w-]+ arguments?: (?P<names>.+)$'
)
_UNKNOWN_TYPE = re.compile(
    r'^(?P<name>\S+) is not in the \S+ registry|^Failed to get (?P<other>\S+)$'
)
#: Errors by which a class refuses values. A ``TypeError`` of a class that is none of a library's may be a fault of it.
_REFUSALS = (ValueError, KeyError, AssertionError)
#: Not built for a second time: kept for the life of the process, or built around others.
_KEPT = ('VISUALIZERS', 'VISBACKENDS', 'MODEL_WRAPPERS', 'RUNNERS', 'OPTIM_WRAPPER_CONSTRUCTORS')


@contextmanager
def named_mistakes(config: Config) -> Iterator[None]:
    """Put an error that a value of the config has caused into one sentence.

    An error that may be such a refusal is looked for in the config: each of its parts is built alone, the inner ones
    first, and the first that raises the same error is named. Nothing is done as long as nothing is raised.

    Raises:
        UserInputError: If a part of the config raises the same error by itself.
    """
    before = copy.deepcopy(dict(config.items()))  # a tool or the runner may change it
    try:
        yield
    except UserInputError:
        raise
    except (TypeError, *_REFUSALS, RuntimeError) as error:
        sentence = config_error(error, before, config.filename or 'of this run')
        if sentence is None:
            raise
        raise UserInputError(sentence) from error


def config_error(error: Exception, config: Mapping[str, Any], path: str) -> str | None:
    """Put an error of building a config into one sentence; None if no part of the config raises it when built alone."""
    text = str(error.args[0]) if error.args else ''
    if isinstance(error, ValueError) and (found := _INCOMPLETE.match(text)):
        return (
            f'The config {path!r} has one of {found["names"]} without the others: expected all three or none; add what '
            'is missing, or set the others to None.'
        )
    scope = scope_of(config)
    parts = list(config_parts(config))
    if (found := _UNKNOWN_TYPE.match(text)) is not None:
        name = found['name'] or found['other']
        hits = [part for part in parts if part.node.get('type') == name]
        return unknown_type(hits[0], scope, path) if hits else None
    if not text or not isinstance(error, TypeError | ValueError | KeyError | AssertionError):
        return None
    for part in sorted(parts, key=lambda part: -part.place.count('.')):
        if part.registry not in _KEPT and _raises_alone(part, scope, error):
            return _refusal(part, error, scope, path)
    for name, loader in config.items():
        if name.endswith('_dataloader') and isinstance(loader, Mapping):
            given = _loader_settings(loader)
            if _is_raised(error, partial(DataLoader, TensorDataset(torch.zeros(1)), **given)):
                return _refused_values(name, given, 'DataLoader', error, path)
    return None


def _raises_alone(part: Part, scope: str, error: Exception) -> bool:
    """Whether a part raises the error when it is built by itself."""
    built = class_of(part, scope)
    if built is None or not _may_be_blamed(built, error):
        return False
    names = arguments_of(built).names
    added = {name: value for name, value in _stand_ins(part).items() if name in names}
    settings = {**copy.deepcopy(dict(part.settings)), 'type': built, **added}
    with DefaultScope.overwrite_default_scope(scope):
        return _is_raised(error, lambda: registry_of(part, scope).build(settings))


def _may_be_blamed(built: Any, error: Exception) -> bool:
    """Whether an error of a class is its answer to what the config gives, and no fault of the class."""
    library = str(getattr(built, '__module__', '')).partition('.')[0]
    is_of_names = any(
        pattern.search(str(error)) for pattern in (_UNKNOWN_SETTING, _MISSING_SETTING)
    )
    return library in LIBRARIES - {'mmseg_ccdistill'} or isinstance(error, _REFUSALS) or is_of_names


def _stand_ins(part: Part) -> dict[str, Any]:
    """Small values in place of what the runner adds to a part."""
    if part.registry == 'LOOPS':
        return dict(runner=None, dataloader=[0], evaluator=None)
    if part.registry == 'DATA_SAMPLERS':
        return dict(dataset=[0], sampler=[0], batch_size=1)
    if part.registry == 'DATASETS':
        return dict(lazy_init=True)
    parameters = [torch.nn.Parameter(torch.zeros(1))]
    if part.registry == 'OPTIMIZERS':
        return dict(params=parameters)
    if part.registry in ('OPTIM_WRAPPERS', 'PARAM_SCHEDULERS'):
        return dict(optimizer=torch.optim.SGD(parameters, lr=0.1))
    return {}


def _is_raised(error: Exception, build: Callable[[], object]) -> bool:
    """Whether building raises an error of the same type and words."""
    try:
        build()
    except Exception as other:
        return type(other) is type(error) and str(other) == str(error)
    return False


def _refusal(part: Part, error: Exception, scope: str, path: str) -> str | None:
    """The sentence for a part that refuses what it is given."""
    built, text = class_of(part, scope), str(error)
    owner = getattr(built, '__name__', str(built))
    if built is not None and (found := _UNKNOWN_SETTING.search(text)):
        similar = such_as(found['name'], arguments_of(built).names)
        return (
            f'The config {path!r} gives {owner} the setting {found["name"]!r} ({part.place}.{found["name"]}): expected '
            f'one that it has{similar}; correct its name or take it out.'
        )
    if found := _MISSING_SETTING.search(text):
        return (
            f'The config {path!r} builds {owner} ({part.place}) without {found["names"]}: expected these settings; add '
            'what is missing or correct its name.'
        )
    return _refused_values(part.place, part.settings, owner, error, path)


def _refused_values(
    place: str, settings: Mapping[str, Any], owner: str, error: Exception, path: str
) -> str:
    """The sentence for values that a class does not take: those that it names, or else all of the part."""
    reason = ' '.join(str(error.args[0] if error.args else error).split()).rstrip('.')
    given = {
        name: v for name, v in settings.items() if isinstance(v, str | int | float | list | tuple)
    }
    named = {name: v for name, v in given.items() if name in reason or repr(v) in reason}
    listed = ', '.join(f'{place}.{name}={value!r}' for name, value in (named or given).items())
    return (
        f'The config {path!r} has {listed or place}, and {owner} does not take it ({reason}): expected values that it '
        'takes; correct them.'
    )


def _loader_settings(loader: Mapping[str, Any]) -> dict[str, Any]:
    """What the runner hands on to torch's data loader as it stands."""
    names = set(inspect.signature(DataLoader.__init__).parameters)
    return {
        name: value
        for name, value in loader.items()
        if name in names and not isinstance(value, Mapping)
    }
