"""Memory, cores and disk of this machine, as a process in it may use them."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

SHARED_MEMORY = '/dev/shm'
#: Limits of a container, of control groups 2 and 1.
_MEMORY_LIMITS = (
    '/sys/fs/cgroup/memory.max',
    '/sys/fs/cgroup/memory/memory.limit_in_bytes',
)


def usable_cores() -> int:
    """Cores that this process may run on."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # macOS
        return os.cpu_count() or 1


def memory_bytes(limits: tuple[str, ...] = _MEMORY_LIMITS) -> int:
    """Memory of the machine in bytes, or the limit of the container that this process is in.

    Args:
        limits: Files that may hold a limit in bytes.
    """
    sizes = [os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES')]
    for file in limits:
        try:
            text = Path(file).read_text().strip()
        except OSError:
            continue
        if text.isdigit():
            sizes.append(int(text))
    return min(sizes)


def free_bytes(folder: str) -> int | None:
    """Free space for what is written below a folder, which need not exist yet; None if it cannot be told."""
    path = Path(folder).absolute()
    while not path.exists() and path != path.parent:
        path = path.parent
    try:
        return shutil.disk_usage(path).free
    except OSError:
        return None


def is_writable(folder: str) -> bool:
    """Whether files can be made below a folder, which need not exist yet."""
    path = Path(folder).absolute()
    while not path.exists() and path != path.parent:
        path = path.parent
    return path.is_dir() and os.access(path, os.W_OK | os.X_OK)
