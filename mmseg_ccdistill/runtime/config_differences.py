"""Settings in which two configs differ, as far as something reads them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from .read_settings import READ_NAMES

#: Stands for a setting that one of two configs does not have.
ABSENT = '(absent)'
#: Say where a run writes and how it is shown, not what is computed.
_PLACES = {'work_dir', 'experiment_name', 'visualizer', 'log_level', 'custom_imports', 'launcher'}


class Difference(NamedTuple):
    """A setting that differs.

    Attributes:
        place: Dotted key, as ``--cfg-options`` takes it.
        before: Value in the first config, or :data:`ABSENT`.
        after: Value in the second one, or :data:`ABSENT`.
    """

    place: str
    before: Any
    after: Any


def config_differences(first: Mapping[str, Any], second: Mapping[str, Any]) -> list[Difference]:
    """Compare two configs, setting by setting.

    Variables of a file that nothing reads, and the places that a run writes to, do not count. A dict of another
    ``type`` differs as a whole; so does a list of another length.

    Args:
        first: A config as plain dicts.
        second: The config that is described.

    Returns:
        Differences in the order of the second config, then what only the first has.
    """
    return list(_differences(_read(first), _read(second), ''))


def _read(config: Mapping[str, Any]) -> dict[str, Any]:
    names = READ_NAMES - _PLACES
    suffixes = ('_dataloader', '_evaluator')
    return {k: v for k, v in config.items() if k in names or k.endswith(suffixes)}


def _differences(first: Any, second: Any, place: str) -> Iterator[Difference]:
    if _are_alike(first, second):
        for key in [*second, *(key for key in first if key not in second)]:
            inner = f'{place}.{key}' if place else str(key)
            yield from _differences(first.get(key, ABSENT), second.get(key, ABSENT), inner)
    elif _are_rows(first, second):
        for index, (before, after) in enumerate(zip(first, second, strict=True)):
            yield from _differences(before, after, f'{place}.{index}')
    elif not _are_equal(first, second):
        yield Difference(place, first, second)


def _are_alike(first: Any, second: Any) -> bool:
    are_dicts = isinstance(first, Mapping) and isinstance(second, Mapping)
    return are_dicts and first.get('type') == second.get('type')


def _are_rows(first: Any, second: Any) -> bool:
    """Whether two values are lists of as many dicts."""
    if not (isinstance(first, list | tuple) and isinstance(second, list | tuple)):
        return False
    has_dicts = any(isinstance(value, Mapping) for value in [*first, *second])
    return has_dicts and len(first) == len(second)


def _are_equal(first: Any, second: Any) -> bool:
    """Equality, in which a list is as good as a tuple."""
    if isinstance(first, list | tuple) and isinstance(second, list | tuple):
        return list(first) == list(second)
    return bool(first == second)
