"""Whether outputs can be written, said before the work that they take."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ..errors import UserInputError

_NAME_ANOTHER = 'name another with --out'


def check_output_folder(folder: str | os.PathLike[str], fix: str = _NAME_ANOTHER) -> None:
    """Check that a folder can be written into, or made if it is not there; nothing is left behind.

    Args:
        folder: Where files will be written.
        fix: How to name another place, the end of the sentence.

    Raises:
        UserInputError: If it is a file, lies in a file, or may not be written into.
    """
    there = Path(folder).absolute()
    while not os.path.lexists(there):
        there = there.parent
    with writing_into(folder, fix), tempfile.TemporaryFile(dir=there):
        pass


def check_output_file(path: str | os.PathLike[str], fix: str = _NAME_ANOTHER) -> None:
    """Check that a file can be written; whether an old one may be replaced is another question.

    Args:
        path: The file.
        fix: How to name another place, the end of the sentence.

    Raises:
        UserInputError: If it is a folder, or its folder cannot be written into.
    """
    if os.path.isdir(path):
        raise UserInputError(f'{os.fspath(path)!r} is a folder: expected the name of a file; {fix}')
    check_output_folder(Path(path).parent, fix)


@contextmanager
def writing_into(folder: str | os.PathLike[str], fix: str) -> Iterator[None]:
    """Turn what the system says while a folder is written into one sentence.

    Raises:
        UserInputError: If the system refuses.
    """
    try:
        yield
    except OSError as error:
        raise UserInputError(
            f'nothing can be written into {os.fspath(folder)!r} ({error.strerror}): expected a folder with the right '
            f'to write; {fix}'
        ) from error
