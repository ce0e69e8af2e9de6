"""What ends a run that cannot write."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

from ..errors import RunError


def unwritten(path: str | os.PathLike[str], reason: str | None) -> RunError:
    """The error of a file that could not be written, with the reason in a few words."""
    return RunError(
        f'{os.fspath(path)!r} cannot be written ({reason}), what was written before is whole: expected a folder with '
        'room and the right to write; make room, and run the command again, it goes on there'
    )


@contextmanager
def writing(path: str | os.PathLike[str]) -> Iterator[None]:
    """Turn what the system says while a file is written into one sentence.

    Raises:
        RunError: If the system refuses.
    """
    try:
        yield
    except OSError as error:
        raise unwritten(path, error.strerror) from error
