"""Everything in a config with its dotted key, as ``--cfg-options`` takes it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any


def dotted_places(node: Any, prefix: str = '') -> Iterator[tuple[str, Any]]:
    """Yield (dotted key, value) of everything in a config, outer values before inner ones.

    Args:
        node: Part of a config: dicts, lists and tuples are walked.
        prefix: Dotted key of the part itself.
    """
    items: Iterable[tuple[Any, Any]] = ()
    if isinstance(node, Mapping):
        items = node.items()
    elif isinstance(node, list | tuple):
        items = enumerate(node)
    for key, child in items:
        place = f'{prefix}.{key}' if prefix else str(key)
        yield place, child
        yield from dotted_places(child, place)
