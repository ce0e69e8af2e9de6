"""Mistakes in a config that only show when its parts are built, in one sentence each."""

from __future__ import annotations

import difflib
import os
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

import mmengine.registry
import mmseg.registry
from mmengine.config import Config
from mmengine.registry import Registry

from .read_settings import READ_NAMES, dotted_places, settings_of

_UNKNOWN_TYPE = re.compile(r'^(?P<name>\S+) is not in the (?P<registry>\S+) registry')
_UNKNOWN_SETTING = re.compile(
    r"(?:(?P<owner>\w+)\.)?__init__\(\) got an unexpected keyword argument '(?P<name>\w+)'"
)
_MISSING_SETTING = re.compile(
    r'__init__\(\) missing \d+ required [\w-]+ arguments?: (?P<names>.+)$'
)
_INCOMPLETE = re.compile(r'^(?P<names>\w+, \w+,? and \w+) should be either all None or not None')
_MISSING_TYPE = re.compile(r'must contain the key "type", but got (?P<what>.+)', re.DOTALL)
#: Libraries whose classes refuse what a config gives them in words of their own.
_LIBRARIES = {'mmengine', 'mmcv', 'mmseg', 'torch'}
#: A class with at most so many settings has them listed where none is alike.
_FEW = 12
_BUILDER = os.path.join('mmengine', 'registry', 'build_functions.py')


def config_error(error: BaseException) -> str | None:
    """Put an error of building a config into one sentence, if the config is its cause.

    Args:
        error: What left the runner or a registry.

    Returns:
        The sentence for an unknown type, an unknown or missing setting, a value that a class of a library refuses,
        a loop without its data or metric, and a missing ``type``; None for anything else.
    """
    text = str(error.args[0]) if error.args else ''
    file = _config_file()
    if isinstance(error, KeyError | TypeError) and (found := _MISSING_TYPE.search(text)):
        what = ' '.join(found['what'].split())[:120]
        return (
            f'The config {file!r} has a part without type ({what}): expected type=... in every part that is '
            'built; correct it, or take the part out with None.'
        )
    if isinstance(error, KeyError) and (found := _UNKNOWN_TYPE.match(text)):
        similar = _such_as(found['name'], _names(found['registry']))
        return (
            f'The config {file!r} has type={found["name"]!r}: expected a name of the registry '
            f'{found["registry"]}{similar}; correct it, or add the module that registers it to custom_imports.'
        )
    built = _class_being_built(error.__traceback__) if isinstance(error, TypeError) else None
    if isinstance(error, TypeError) and (found := _UNKNOWN_SETTING.search(text)):
        return _unknown_setting(error, found['owner'], found['name'], built, file)
    if built is not None and (found := _MISSING_SETTING.search(text)):
        return (
            f'The config {file!r} builds {built.__name__} without {found["names"]}: expected these settings; '
            'add them or correct their names.'
        )
    if isinstance(error, ValueError) and (found := _INCOMPLETE.match(text)):
        return (
            f'The config {file!r} has one of {found["names"]} without the others: expected all three or none; add what '
            'is missing, or set the others to None.'
        )
    return _refused_value(error, file) if isinstance(error, TypeError | ValueError) else None


def _refused_value(error: Exception, file: str) -> str | None:
    """The sentence for values from the config that a class of a library does not take, as it is made.

    Errors of our own classes are left alone: these speak for themselves, or have a fault.
    """
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    if trace is None or trace.tb_frame.f_code.co_name != '__init__':
        return None
    made = type(trace.tb_frame.f_locals.get('self'))
    if made.__module__.partition('.')[0] not in _LIBRARIES:
        return None
    config, values = _config_at_hand(error.__traceback__), trace.tb_frame.f_locals
    given = [
        f'{place}={value!r}'
        for name in sorted(settings_of(made))
        if isinstance(value := values.get(name), str | int | float)
        for place in _places_of_value(config, name, value)[:1]
    ]
    if not given:  # nothing of the config arrived here
        return None
    reason = ' '.join(str(error).split()).rstrip('.')
    return (
        f'The config {file!r} has {", ".join(given)}, and {made.__name__} does not take it ({reason}): expected values '
        'that it takes; correct them.'
    )


def _unknown_setting(
    error: TypeError, owner: str | None, name: str, built: type | None, file: str
) -> str | None:
    """The sentence for a setting that a class does not take, with its dotted key where the config is at hand.

    A class may pass settings on to another one that no registry builds, such as torch's DataLoader: what
    python says of the error names that one, and the blame is its own.
    """
    config = _config_at_hand(error.__traceback__)
    if built is not None and owner in {None, *(cls.__name__ for cls in built.__mro__)}:
        owner, known = built.__name__, settings_of(built)
        keys = _keys_of(config, name, built)
    else:
        refused = _class_named(error.__traceback__, owner)
        if refused is None or owner is None:
            return None
        known = settings_of(refused)
        keys = _keys_of(config, name, refused) or _keys_of(config, name, None)
        if not keys:  # not from the config: a fault of the code
            return None
    similar = _such_as(name, known)
    if not similar and len(known) <= _FEW:
        similar = f' ({", ".join(sorted(known))})'
    where = f' ({" and ".join(keys[:2])})' if keys else ''
    return (
        f'The config {file!r} gives {owner} the setting {name!r}{where}: expected one that it '
        f'has{similar}; correct its name or take it out.'
    )


def _config_at_hand(trace: TracebackType | None) -> Config | None:
    """The config in the outermost frame that holds one."""
    while trace is not None:
        found = [v for v in trace.tb_frame.f_locals.values() if isinstance(v, Config)]
        if found:
            return found[0]
        trace = trace.tb_next
    return None


def _keys_of(config: Config | None, name: str, built: type | None) -> list[str]:
    """Dotted keys of a setting: in the parts of that class, or in those without a type."""
    if config is None:
        return []
    types = (None,) if built is None else (built, built.__name__)
    return [
        f'{place}.{name}'
        for place, node in dotted_places(_read_parts(config))
        if isinstance(node, Mapping) and name in node and node.get('type') in types
    ]


def _places_of_value(config: Config | None, name: str, value: Any) -> list[str]:
    """Dotted keys of settings of that name which have the value."""
    return [
        place
        for place, node in dotted_places({} if config is None else _read_parts(config))
        if place.endswith(f'.{name}') and type(node) is type(value) and node == value
    ]


def _read_parts(config: Config) -> dict[str, Any]:
    """What the runner or a tool reads of a config, without the variables of its file."""
    suffixes = ('_dataloader', '_evaluator')  # of the night sets, for example
    return {k: v for k, v in config.items() if k in READ_NAMES or k.endswith(suffixes)}


def _class_named(trace: TracebackType | None, name: str | None) -> type | None:
    """The class of that name which the innermost frame calls."""
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    if trace is None or name is None:
        return None
    found = {**trace.tb_frame.f_globals, **trace.tb_frame.f_locals}.get(name)
    return found if isinstance(found, type) else None


def _config_file() -> str:
    """The config that the command line names."""
    suffixes = ('.py', '.yaml', '.yml', '.json')
    return next((word for word in sys.argv[1:] if word.endswith(suffixes)), 'of this run')


def _such_as(name: str, names: set[str]) -> str:
    similar = difflib.get_close_matches(name, sorted(names), n=2, cutoff=0.6)
    return f', such as {" or ".join(map(repr, similar))}' if similar else ''


def _names(registry: str) -> set[str]:
    """Names in the registries of that kind, of mmseg and mmengine."""
    kind = registry.rpartition('::')[2]
    modules = (mmseg.registry, mmengine.registry)
    found = [v for module in modules for v in vars(module).values() if isinstance(v, Registry)]
    return {name for r in found if r.name.rpartition('::')[2] == kind for name in r.module_dict}


def _class_being_built(trace: TracebackType | None) -> type | None:
    """The class whose arguments a registry was passing on when the error arose."""
    built: Any = None
    while trace is not None:
        if Path(trace.tb_frame.f_code.co_filename).as_posix().endswith(Path(_BUILDER).as_posix()):
            built = trace.tb_frame.f_locals.get('obj_cls', built)
        trace = trace.tb_next
    return built if isinstance(built, type) else None
