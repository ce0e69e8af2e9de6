"""Types and arguments in a config, checked against registries and signatures before anything is built."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Collection
from typing import Any

import mmseg.registry
from mmengine.config import Config
from mmengine.registry import Registry

from ..errors import UserInputError
from .config_parts import Part, arguments_of, class_of, config_parts, registry_of, scope_of
from .value_types import broken_type

#: Libraries whose classes build every dict with a ``type`` that they are given from a registry, and pass arguments
#: that they do not name on to their base.
LIBRARIES = {'mmengine', 'mmcv', 'mmseg', 'mmseg_ccdistill', 'torch'}
#: Taken out of the dict by the builder of layers (``build_norm_layer`` of mmcv).
_OF_LAYERS = {'requires_grad'}
_LIKE = 0.6


def check_parts(config: Config, path: str) -> None:
    """Check every part of a config against the registries and the signature of its class.

    Args:
        config: Config with the overrides, its ``custom_imports`` done.
        path: Its file, for the message.

    Raises:
        UserInputError: At the first part without a type, whose type no registry holds, that has an argument which
            its class does not take, lacks one that it needs, or gives a class of this package a value of another type.
    """
    scope = scope_of(config)
    classes: dict[str, Callable[..., Any]] = {}
    for part in config_parts(config):
        is_ours = _is_ours(_owner(part.place, classes))
        if 'type' not in part.node:
            raise UserInputError(
                f'The config {path!r} has {part.place} without type: expected type=... in every part that is built; '
                'correct it, or take the part out with None.'
            )
        built = class_of(part, scope)
        if built is not None:
            classes[part.place] = built
            _check_arguments(part, built, path, is_ours)
        elif (is_ours or part.is_complete) and not _stands_elsewhere(part.node['type']):
            raise UserInputError(unknown_type(part, scope, path))


def unknown_type(part: Part, scope: str, path: str) -> str:
    """The sentence for a type that no registry holds."""
    registry, name = registry_of(part, scope), part.node['type']
    similar = such_as(str(name), _names(registry))
    return (
        f'The config {path!r} has {part.type_place}={name!r}: expected a name of the registry '
        f'{registry.scope}::{registry.name}{similar}; correct it, or add the module that registers it to '
        'custom_imports.'
    )


def such_as(name: str, names: Collection[str]) -> str:
    """The names that are most alike, as ``", such as 'momentum' or 'nesterov'"``; nothing if none is alike."""
    similar = difflib.get_close_matches(name, sorted(names), n=2, cutoff=_LIKE)
    return f', such as {" or ".join(map(repr, similar))}' if similar else ''


def _check_arguments(part: Part, built: Callable[..., Any], path: str, is_ours: bool) -> None:
    """Check the names that a part gives its class, and those that it needs."""
    arguments = arguments_of(built)
    owner = getattr(built, '__name__', str(built))
    allowed = arguments.names | (set() if part.is_complete else _OF_LAYERS)
    unknown = [name for name in part.settings if name not in allowed]
    is_closed = not arguments.takes_more and (_is_ours(built) or not arguments.has_rest)
    if unknown and is_closed and (part.is_complete or is_ours):
        similar = such_as(unknown[0], arguments.names)
        if not similar:
            similar = f' ({", ".join(sorted(arguments.names))})'
        raise UserInputError(
            f'The config {path!r} gives {owner} the setting {unknown[0]!r} ({part.place}.{unknown[0]}): expected one '
            f'that it has{similar}; correct its name or take it out.'
        )
    for name, value in part.settings.items() if _is_of_package(built) else ():
        wanted = broken_type(built, name, value)
        if wanted is not None:
            raise UserInputError(
                f'The config {path!r} has {part.place}.{name}={value!r}: expected {wanted}, as {owner} takes it; '
                'correct the value.'
            )
    missing = [n for n in arguments.required if n not in part.node and n not in part.given]
    if missing and part.is_complete:
        names = ' and '.join(map(repr, missing))
        raise UserInputError(
            f'The config {path!r} builds {owner} ({part.place}) without {names}: expected '
            f'{"this setting" if len(missing) == 1 else "these settings"}; add what is missing or correct its name.'
        )


def _owner(place: str, classes: dict[str, Callable[..., Any]]) -> Callable[..., Any] | None:
    """The class of the nearest part around a place."""
    while '.' in place:
        place = place.rpartition('.')[0]
        if place in classes:
            return classes[place]
    return None


def _is_ours(built: Callable[..., Any] | None) -> bool:
    """Whether a class is known to build what stands inside it; the runner is."""
    return built is None or str(getattr(built, '__module__', '')).partition('.')[0] in LIBRARIES


def _is_of_package(built: Callable[..., Any]) -> bool:
    """Whether the types in a signature are what the class takes: those of other libraries are often narrower."""
    return str(getattr(built, '__module__', '')).partition('.')[0] == 'mmseg_ccdistill'


def _stands_elsewhere(name: Any) -> bool:
    """Whether another registry holds a type: then the class around it knows what it is for."""
    registries = [v for v in vars(mmseg.registry).values() if isinstance(v, Registry)]
    return any(
        name in registry.root.module_dict or name in registry.module_dict for registry in registries
    )


def _names(registry: Registry) -> set[str]:
    """Names that a registry and those above it hold."""
    names = set(registry.module_dict)
    return names if registry.parent is None else names | _names(registry.parent)
