"""The SHA-256 of a file: what tells its content from any other."""

from __future__ import annotations

import functools
import hashlib
import os

_CHUNK = 2**20


def file_digest(path: str | os.PathLike[str]) -> str:
    """SHA-256 of a file's content; an unchanged file is read once in a process.

    Args:
        path: The file.

    Returns:
        64 hexadecimal digits.

    Raises:
        OSError: If it cannot be read.
    """
    status = os.stat(path)
    return _digest(os.path.abspath(path), status.st_mtime_ns, status.st_size)


@functools.lru_cache(maxsize=16)
def _digest(path: str, mtime_ns: int, size: int) -> str:
    digest = hashlib.sha256()
    with open(path, 'rb') as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()
