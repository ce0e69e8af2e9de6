"""Tables that a command writes into a docs page, between two marks."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from mmseg_ccdistill.errors import UserInputError
from mmseg_ccdistill.runtime.atomic_file import write_atomically


def marks(name: str) -> tuple[str, str]:
    """The lines between which the table of that name stands."""
    return f'<!-- {name}: begin -->', f'<!-- {name}: end -->'


def write_between(page: Path, name: str, lines: Sequence[str]) -> None:
    """Write lines between the two marks of a page, in place of what stands there.

    Args:
        page: Page with the marks.
        name: Name of the marks.
        lines: What shall stand there.

    Raises:
        UserInputError: If the page does not have both marks, in this order.
    """
    begin, end = marks(name)
    text = page.read_text(encoding='utf-8')
    before, first, rest = text.partition(begin)
    _, last, after = rest.partition(end)
    if not first or not last:
        raise UserInputError(
            f'{page} has no lines {begin} and {end}: put them where the table shall stand'
        )
    inside = '\n'.join([begin, '', *lines, '', end])
    write_atomically(page, (before + inside + after).encode())
