"""Mistakes in a config that only show when its parts are built, in one sentence each."""

from __future__ import annotations

import difflib
import inspect
import os
import re
import sys
from pathlib import Path
from types import TracebackType
from typing import Any

import mmengine.registry
import mmseg.registry
from mmengine.registry import Registry

_UNKNOWN_TYPE = re.compile(r'^(?P<name>\S+) is not in the (?P<registry>\S+) registry')
_UNKNOWN_SETTING = re.compile(r"__init__\(\) got an unexpected keyword argument '(?P<name>\w+)'")
_MISSING_SETTING = re.compile(
    r'__init__\(\) missing \d+ required [\w-]+ arguments?: (?P<names>.+)$'
)
_MISSING_TYPE = re.compile(r'must contain the key "type", but got (?P<what>.+)', re.DOTALL)
_BUILDER = os.path.join('mmengine', 'registry', 'build_functions.py')


def config_error(error: BaseException) -> str | None:
    """Put an error of building a config into one sentence, if the config is its cause.

    Args:
        error: What left the runner or a registry.

    Returns:
        The sentence for an unknown type, an unknown or missing setting and a missing ``type``; None for
        anything else.
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
    if built is None:
        return None
    if found := _UNKNOWN_SETTING.search(text):
        similar = _such_as(found['name'], _settings(built))
        return (
            f'The config {file!r} gives {built.__name__} the setting {found["name"]!r}: expected one that it '
            f'has{similar}; correct its name or take it out.'
        )
    if found := _MISSING_SETTING.search(text):
        return (
            f'The config {file!r} builds {built.__name__} without {found["names"]}: expected these settings; '
            'add them or correct their names.'
        )
    return None


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


def _settings(built: type) -> set[str]:
    """Arguments of a class and of those it passes the rest on to."""
    names: set[str] = set()
    for cls in built.__mro__:
        init = vars(cls).get('__init__')
        if inspect.isfunction(init):
            names.update(inspect.signature(init).parameters)
    return names - {'self', 'args', 'kwargs'}
