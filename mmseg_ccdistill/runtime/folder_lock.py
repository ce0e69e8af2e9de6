"""A folder that one run works in: others are kept out as long as it or a process that it has started lives."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ..errors import UserInputError


@contextmanager
def own(work_dir: Path) -> Iterator[int]:
    """Keep other runs out of a folder, as long as this process or one that it has started lives.

    Args:
        work_dir: Folder of the runs.

    Yields:
        The lock's file descriptor, which the started processes inherit.

    Raises:
        UserInputError: If another run works in the folder.
    """
    work_dir.mkdir(parents=True, exist_ok=True)
    with open(work_dir / '.lock', 'w') as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise UserInputError(
                f'{str(work_dir)!r} is in use by another run or one that it has left behind: wait for it, end it, '
                'or name another folder with --work-dir'
            ) from error
        yield lock.fileno()
