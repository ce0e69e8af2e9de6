"""The ratio of two alternatives as the record keeps it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from benchmarks.performance.sizes import Sizes
from benchmarks.timing import time_interleaved


def compare(
    callables: Mapping[str, Callable[[], Any]], sizes: Sizes, base: str, scale: float = 1.0
) -> dict[str, dict[str, float]]:
    """Time alternatives in turn, on one thread, in processor time.

    Args:
        callables: Alternatives by name; each call does one whole unit of work.
        sizes: Of the run.
        base: Name of the denominator.
        scale: By which each ratio is multiplied. Defaults to 1.0.

    Returns:
        For every other name ``value``, the ratio of the medians, ``low`` and ``high``, the quartiles over rounds,
        and ``ms`` and ``base_ms``, both medians.
    """
    times = time_interleaved(callables, sizes.rounds, warmup=1 if sizes.tiny else 2)
    found = {}
    for name in callables:
        if name != base:
            ratio = times.ratio(name, base)
            found[name] = dict(
                value=scale * ratio.value,
                low=scale * ratio.low,
                high=scale * ratio.high,
                ms=1e3 * times.median(name),
                base_ms=1e3 * times.median(base),
            )
    return found
