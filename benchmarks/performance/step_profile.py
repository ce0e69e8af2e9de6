"""Which operators take the time of a step of CCDistill, and of its two supervised branches."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch.profiler import ProfilerActivity, profile

from benchmarks.performance.sizes import Sizes
from benchmarks.performance.step_overhead import both_steps
from benchmarks.timing import one_thread


def profile_step(sizes: Sizes) -> dict[str, dict[str, Any]]:
    """Milliseconds of each operator alone, without those that it calls; mean over the run's rounds.

    Those of the bare step are multiplied by the ratio of the FLOP, so that they can be compared.
    """
    steps, flop_ratio = both_steps(sizes)
    titles = {'step': ('a step of CCDistill', 1.0), 'bare': ('two branches, per FLOP', flop_ratio)}
    with one_thread():
        return {
            title: dict(unit='ms', parts=_operators(steps[name], sizes.rounds, scale))
            for name, (title, scale) in titles.items()
        }


def _operators(step: Callable[[], None], rounds: int, scale: float) -> dict[str, float]:
    step()
    with profile(activities=[ProfilerActivity.CPU]) as found:
        for _ in range(rounds):
            step()
    return {
        event.key: scale * event.self_cpu_time_total / 1e3 / rounds
        for event in found.key_averages()
        if event.self_cpu_time_total > 0
    }
