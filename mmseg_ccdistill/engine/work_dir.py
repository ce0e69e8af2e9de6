"""The folder that a run writes to."""

from __future__ import annotations

import os


def make_work_dir(path: str) -> None:
    """Make the folder of a run, or say why that is not possible.

    Args:
        path: Work dir.

    Raises:
        ValueError: If it is a file, lies in a file, or cannot be written.
    """
    try:
        os.makedirs(path, exist_ok=True)
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno else str(error)
        raise ValueError(
            f'the work dir {path!r} cannot be made ({reason}): expected a folder that can be written; '
            'name another one with --work-dir'
        ) from error
    if not os.access(path, os.W_OK | os.X_OK):
        raise ValueError(
            f'the work dir {path!r} is read-only: expected a folder that can be written; name another '
            'one with --work-dir or change its permissions'
        )
