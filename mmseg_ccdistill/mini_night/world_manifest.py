"""The manifest of a rendered set: what its files depend on, so that sets of other settings never mix."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..errors import UserInputError

MANIFEST = 'mini_night.json'
#: Settings that stand in a manifest only where they are not these.
USUAL: dict[str, Any] = {'night': 'easy'}
#: Settings on which no day image and no label depends.
NIGHT_KEYS = ('night',)


def manifest_text(settings: Mapping[str, Any]) -> str:
    """The manifest of a set: its settings as JSON, without those that are as usual."""
    unusual = {k: v for k, v in settings.items() if k not in USUAL or v != USUAL[k]}
    return json.dumps(unusual, indent=2) + '\n'


def check_same_set(manifest: Path, settings: Mapping[str, Any]) -> None:
    """Refuse a folder whose manifest says other settings.

    Args:
        manifest: An existing manifest.
        settings: The settings that are asked for.

    Raises:
        UserInputError: If it is not readable, or a setting differs; the message names each.
    """
    try:
        found = dict(json.loads(manifest.read_text(encoding='utf-8')))
    except (ValueError, TypeError) as error:
        raise UserInputError(
            f'{manifest} is not readable as JSON: remove it to have the set completed again'
        ) from error
    found = {**USUAL, **found}
    wanted = {**settings, **{key: settings.get(key, value) for key, value in USUAL.items()}}
    if found != wanted:
        other = ', '.join(
            f'{key} {found.get(key)!r} instead of {value!r}'
            for key, value in wanted.items()
            if found.get(key) != value
        )
        raise UserInputError(
            f'{manifest.parent} holds a mini night with {other or "other keys"}: choose another folder'
        )


def day_part(text: str) -> str:
    """A manifest without what concerns its nights alone: equal for sets whose days and labels are equal.

    Args:
        text: Content of a manifest; empty where there is none.

    Returns:
        The manifest of the same set with the usual night.
    """
    if not text:
        return ''
    settings = json.loads(text)
    return manifest_text({key: v for key, v in settings.items() if key not in NIGHT_KEYS})
