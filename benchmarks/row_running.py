"""Rows of a benchmark: which of them run, and what is kept of each."""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable, Sequence
from typing import Any, Protocol, TypeVar

from mmseg_ccdistill.errors import UserInputError


class NotHere(Exception):
    """A row that this machine cannot run; the message says what is missing."""


class Named(Protocol):
    """A row has a name; the part before a colon is its group."""

    @property
    def name(self) -> str:
        """Key in the JSON."""


NamedRow = TypeVar('NamedRow', bound=Named)


def choose(rows: Sequence[NamedRow], words: Sequence[str]) -> list[NamedRow]:
    """Rows whose names are, or begin with, one of the words.

    Args:
        rows: All of them.
        words: From the command line; none: all.

    Returns:
        Rows in their order.

    Raises:
        UserInputError: If a word begins no name.
    """
    for word in words:
        if not any(row.name.startswith(word) for row in rows):
            names = ', '.join(dict.fromkeys(row.name.split(':')[0] for row in rows))
            raise UserInputError(f'--rows: no row begins with {word!r}; there are {names}')
    exact = {row.name for row in rows} & set(words)
    beginnings = tuple(word for word in words if word not in exact)
    return [
        row
        for row in rows
        if not words or row.name in exact or row.name.startswith(beginnings or ('\0',))
    ]


def run_row(run: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """Run a row.

    Args:
        run: What measures.

    Returns:
        What the record keeps: ``status``, ``seconds``, and ``result`` or ``reason``; an error is part of it.
    """
    start = time.perf_counter()
    try:
        kept: dict[str, Any] = dict(status='done', result=run())
    except NotHere as reason:
        kept = dict(status='skipped', reason=str(reason))
    except Exception as error:
        kept = dict(status='failed', reason=_line(error), traceback=traceback.format_exc())
    kept['seconds'] = round(time.perf_counter() - start, 2)
    return kept


def _line(error: BaseException) -> str:
    text = (str(error).strip() or '-').splitlines()[0]
    return f'{type(error).__name__}: {text[:300]}'
