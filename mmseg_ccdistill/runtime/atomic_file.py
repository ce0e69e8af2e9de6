"""Files that are whole or not there: written beside their place, checked, then moved into it.

A process that dies at any moment leaves the old file, or the new one, under the file's name, and
never a part of one. ``os.replace`` is atomic within a file system (POSIX ``rename``); the ``fsync``
before it keeps a power cut from leaving a name without its content, the one after it keeps the
name.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path

#: Suffix of a file that is being written; a file that has it is of no use to anyone.
UNFINISHED = '.unfinished'

# Bytes given to one write call, and read back at once. Larger ones are slower: for each the memory is
# taken from the system anew (1 GB: 0.3 s with this size, 3 s with 16 MB).
_CHUNK = 2**18
# Bytes left to the file system beside the content, for the folder's entry and its bookkeeping.
_SPARE_BYTES = 2**16


class FileNotWrittenError(OSError):
    """A file could not be written; what lay under its name before still lies there."""


def fault_point(step: str) -> None:
    """Do nothing: the place between two steps of a write, where tests put an interruption."""


def write_atomically(
    path: str | os.PathLike[str],
    content: bytes,
    verify: Callable[[Path], object] | None = None,
) -> None:
    """Write a file so that its name never stands for anything but a whole, checked file.

    Write ``<name>.unfinished``, flush, fsync, read back and compare, verify, rename, fsync the
    folder. Free space is checked first.

    Args:
        path: File; its folder must exist. An old file of this name is replaced.
        content: Its bytes.
        verify: Called with the path of the unfinished file; raises if it is of no use.

    Raises:
        FileNotWrittenError: If there is too little space or the file reads back differently.
        OSError: As the system raises it. The old file, if there is one, is untouched in each case,
            and the unfinished one is removed.
    """
    path = Path(path)
    draft = path.with_name(path.name + UNFINISHED)
    draft.unlink(missing_ok=True)  # of a process that died; its space is needed
    check_free_space(path.parent, len(content))
    fault_point('space checked')
    try:
        _write_and_sync(draft, content)
        _compare(draft, content)
        if verify is not None:
            verify(draft)
        fault_point('verified')
        os.replace(draft, path)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise
    fault_point('renamed')
    _sync_folder(path.parent)
    fault_point('folder synced')


def check_free_space(folder: str | os.PathLike[str], size: int) -> None:
    """Check that ``size`` bytes fit into a folder's file system, for a user without privileges.

    Raises:
        FileNotWrittenError: If they do not (``errno.ENOSPC``).
    """
    status = os.statvfs(folder)
    free = status.f_bavail * status.f_frsize
    if free < size + _SPARE_BYTES:
        raise FileNotWrittenError(
            errno.ENOSPC, f'{size / 1e6:.0f} MB are needed, {free / 1e6:.0f} MB are free', folder
        )


def remove_unfinished(folder: str | os.PathLike[str]) -> list[Path]:
    """Remove what interrupted writes left in a folder, and return these files."""
    leftovers = sorted(Path(folder).glob(f'*{UNFINISHED}'))
    for leftover in leftovers:
        leftover.unlink(missing_ok=True)
    return leftovers


def _write_and_sync(path: Path, content: bytes) -> None:
    """Write all bytes and wait until the device has them."""
    view = memoryview(content)
    with path.open('wb') as file:
        for start in range(0, len(view), _CHUNK):
            fault_point('writing')
            file.write(view[start : start + _CHUNK])
        file.flush()
        fault_point('written')
        os.fsync(file.fileno())
    fault_point('synced')


def _compare(path: Path, content: bytes) -> None:
    """Read a file and compare it with what was to be written."""
    with path.open('rb') as file:
        for start in range(0, len(content), _CHUNK):
            if file.read(_CHUNK) != content[start : start + _CHUNK]:  # bytes compare fastest
                raise FileNotWrittenError(errno.EIO, 'the file reads back differently', str(path))
        if file.read(1):
            raise FileNotWrittenError(errno.EIO, 'the file reads back longer', str(path))


def _sync_folder(folder: Path) -> None:
    """Wait until the device has the folder's entries."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
