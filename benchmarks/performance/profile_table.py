"""Profiles as tables: the largest parts, and their shares."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from benchmarks.gpu.page import show, table

#: Parts of one table that are shown; the rest is one line.
SHOWN = 10


def profile_tables(rows: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Lines of the tables of all profiles that are there.

    Args:
        rows: See :class:`benchmarks.row_record.RowRecord`.
    """
    lines: list[str] = []
    for name, row in rows.items():
        for title, found in row.get('result', {}).items() if name != 'environment' else ():
            parts = largest(found['parts'])
            total = sum(parts.values())
            cells: list[list[Any]] = [
                [what, show(value), f'{100 * value / total:.1f} %'] for what, value in parts.items()
            ]
            lines += table([title, found['unit'], 'share'], cells)
    return lines


def largest(parts: Mapping[str, float], shown: int = SHOWN) -> dict[str, float]:
    """The largest parts, falling, and the sum of the others.

    Args:
        parts: Positive numbers by name.
        shown: How many are named. Defaults to :data:`SHOWN`.
    """
    order = sorted(parts, key=lambda name: -parts[name])
    rest = order[shown:]
    found = {name: parts[name] for name in order[:shown]}
    if rest:
        found[f'{len(rest)} others'] = sum(parts[name] for name in rest)
    return found
