"""Settings of the command line, put into a config: each must have a place there that something reads."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from mmengine.config import Config

from .override_syntax import OverrideError
from .part_checks import check_parts
from .read_settings import check_overridden_names, check_settings

_DELETE = '_delete_'  # mmengine's word for: in place of what the base has


def apply_overrides(
    config: Config,
    path: str,
    overrides: Mapping[str, Any] | None,
    also_read: Collection[str] = (),
    overruled: Mapping[str, str] | None = None,
) -> None:
    """Put overrides into a config, as ``Config.merge_from_dict`` does, and check that all settings are read.

    Args:
        config: Config, changed in place.
        path: Its file, for the messages.
        overrides: Values by dotted key; a number in a key is an index of a list.
        also_read: Top-level names that the calling tool reads beside those of the runner.
        overruled: Top-level names that it sets itself, and what to do instead.

    Raises:
        OverrideError: If an override has no place in the config, or a switch gets a word.
        UnreadSettingError: If nothing reads a setting.
        UserInputError: If a part has an unknown type or argument, or lacks one.
    """
    overrides = dict(overrides or {})
    check_overridden_names(config, path, overrides, also_read, overruled)
    replaced = [key.removesuffix(f'.{_DELETE}') for key in overrides if key.endswith(f'.{_DELETE}')]
    for key, value in overrides.items():
        if not any(key.startswith(f'{place}.') for place in replaced):
            _check_place(config, path, key, value)
    if overrides:
        config.merge_from_dict(overrides)
    check_settings(config, path, overrides)
    check_parts(config, path)


def _check_place(config: Config, path: str, key: str, value: Any) -> None:
    """Walk to the place of an override."""
    parts = key.split('.')
    node: Any = config
    for depth, part in enumerate(parts):
        place = '.'.join(parts[:depth])
        if isinstance(node, list):
            if not part.isdigit() or int(part) >= len(node):
                raise OverrideError(
                    f'--cfg-options {key}: {place} in the config {path!r} is a list of {len(node)}: expected '
                    f'{_indices(node, place)} in the place of {part!r}; correct it.'
                )
            node = node[int(part)]
        elif isinstance(node, Mapping | Config):
            if part not in node:
                return
            node = node[part]
        else:
            raise OverrideError(
                f'--cfg-options {key}: {place} in the config {path!r} is {_short(node)}, which holds no settings: '
                f'expected a dict there; {_remedy(node, place)}.'
            )
    if isinstance(node, bool) and isinstance(value, str):
        raise OverrideError(
            f'--cfg-options {key}: {value!r} is no switch: the config {path!r} has {node} there; expected True or '
            'False.'
        )


def _indices(node: list[Any], place: str) -> str:
    """The valid indices of a list."""
    if not node:
        return f'the whole list, {place}=[...],'
    return '0' if len(node) == 1 else f'0 to {len(node) - 1}'


def _remedy(node: Any, place: str) -> str:
    if isinstance(node, tuple):
        return f'give it as a whole, {place}=(...)'
    return f'correct the key, or add {place}.{_DELETE}=True to put a dict in its place'


def _short(node: Any) -> str:
    text = repr(node)
    return text if len(text) <= 60 else f'{text[:57]}...'
