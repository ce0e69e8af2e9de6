"""Tables that a command writes into a docs page, between two marks."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from mmseg_ccdistill.errors import UserInputError
from mmseg_ccdistill.runtime.atomic_file import write_atomically
from mmseg_ccdistill.runtime.output_place import check_output_file


def marks(name: str) -> tuple[str, str]:
    """The lines between which the table of that name stands."""
    return f'<!-- {name}: begin -->', f'<!-- {name}: end -->'


def section(name: str, lines: Sequence[str]) -> str:
    """Lines between the marks of a name, marks included.

    Args:
        name: Name of the marks.
        lines: What stands between them.
    """
    begin, end = marks(name)
    return '\n'.join([begin, '', *lines, '', end])


def write_section(page: Path, text: str) -> None:
    """Write a section into a page, in place of the one with the same marks.

    Args:
        page: Page with the marks.
        text: See :func:`section`.

    Raises:
        UserInputError: If the page cannot be read or written, or does not have both marks, in this order.
    """
    begin, end = text.split('\n', 1)[0], text.rsplit('\n', 1)[1]
    try:
        content = page.read_text(encoding='utf-8')
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else 'it is no text'
        raise UserInputError(
            f'the page {str(page)!r} cannot be read ({reason}): expected a text file with the lines {begin} and '
            f'{end}; name another, or write these lines into it'
        ) from error
    before, first, rest = content.partition(begin)
    _, last, after = rest.partition(end)
    if not first or not last:
        raise UserInputError(
            f'{page} has no lines {begin} and {end}: put them where the table shall stand'
        )
    check_output_file(page, 'name another page')
    write_atomically(page, (before + text + after).encode())
