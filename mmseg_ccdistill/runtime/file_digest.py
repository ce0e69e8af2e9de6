"""The SHA-256 of a file, or of the listing of a folder: what tells its content from any other."""

from __future__ import annotations

import functools
import hashlib
import os
from collections.abc import Iterator

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


def listing_digest(path: str | os.PathLike[str]) -> str:
    """SHA-256 of the names and sizes of all files of a folder, hidden ones left out; of a file its content.

    Args:
        path: A folder, or a file.

    Returns:
        64 hexadecimal digits.

    Raises:
        OSError: If it cannot be read.
    """
    if os.path.isfile(path):
        return file_digest(path)
    digest = hashlib.sha256()
    for name, size in sorted(_sizes(path)):
        digest.update(f'{name}\0{size}\n'.encode())
    return digest.hexdigest()


def _sizes(folder: str | os.PathLike[str]) -> Iterator[tuple[str, int]]:
    for parent, _, names in os.walk(folder, followlinks=True):
        for name in names:
            path = os.path.join(parent, name)
            if not name.startswith('.') and os.path.isfile(path):
                yield os.path.relpath(path, folder), os.path.getsize(path)
