"""Whether memory grows while a run goes on: no graph may live on in what is logged."""

from __future__ import annotations

import gc
import os
from pathlib import Path
from typing import Any

from benchmarks.performance.sizes import Sizes
from benchmarks.performance.small_run import small_training
from benchmarks.row_running import NotHere

_STATM = Path('/proc/self/statm')


def resident_bytes() -> int:
    """Memory of this process that is in RAM.

    Raises:
        NotHere: If the system does not tell it (it is no Linux).
    """
    if not _STATM.exists():
        raise NotHere(f'{_STATM} is not there: the row needs Linux')
    return int(_STATM.read_text().split()[1]) * os.sysconf('SC_PAGE_SIZE')


def growth_row(sizes: Sizes) -> dict[str, Any]:
    """Highest memory in the last fifth of the iterations over that in the first fifth after a warm-up, minus 1."""
    training = small_training(sizes)
    fifth = max(1, sizes.iterations // 5)
    for _ in range(fifth):  # the allocator finds its sizes
        training.step()
    gc.collect()
    seen = []
    for _ in range(sizes.iterations):
        training.step()
        seen.append(resident_bytes())
    first, last = max(seen[:fifth]), max(seen[-fifth:])
    return dict(growth=dict(value=last / first - 1), first_mib=first / 2**20, last_mib=last / 2**20)
