"""Times of alternatives against each other, on a machine that others use too."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import cv2
import torch
from rich.console import Console
from rich.progress import track
from rich.table import Table


@dataclass(frozen=True)
class Ratio:
    """How many times as long one alternative takes as another.

    Attributes:
        value: Ratio of the medians.
        low: First quartile of the ratios of single rounds.
        high: Third quartile of the same.
    """

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f'{self.value:.3f} ({self.low:.3f}-{self.high:.3f})'


@dataclass(frozen=True)
class Times:
    """Durations of named alternatives, one per round.

    Attributes:
        seconds: Durations in seconds by name; all lists have one length.
    """

    seconds: Mapping[str, Sequence[float]]

    def median(self, name: str) -> float:
        """Median duration in seconds."""
        return statistics.median(self.seconds[name])

    def ratio(self, name: str, base: str) -> Ratio:
        """Duration of ``name`` over that of ``base``, with the spread over rounds.

        Raises:
            KeyError: If either was not timed.
        """
        rounds = [a / b for a, b in zip(self.seconds[name], self.seconds[base], strict=True)]
        low, _, high = statistics.quantiles(rounds, n=4, method='inclusive')
        return Ratio(self.median(name) / self.median(base), low, high)


def time_interleaved(
    callables: Mapping[str, Callable[[], Any]],
    rounds: int = 9,
    warmup: int = 2,
    clock: Callable[[], float] = time.process_time,
) -> Times:
    """Run alternatives in turn, round after round, on one thread.

    Interleaving spreads a change of the machine's speed over all alternatives, and processor time
    leaves out what other processes use. A rich bar shows progress where there is a terminal.

    Args:
        callables: Alternatives by name; each call does one whole unit of work.
        rounds: Timed rounds, at least two. Defaults to 9.
        warmup: Rounds that are run and not counted. Defaults to 2.
        clock: Gives seconds. Defaults to ``time.process_time``, the processor time of this process;
            ``time.perf_counter`` is the time on the wall.

    Returns:
        Times: Durations by name.

    Raises:
        ValueError: If there are fewer than two rounds or nothing to time.
    """
    if rounds < 2 or warmup < 0 or not callables:
        raise ValueError(
            'time_interleaved needs at least one callable, two rounds and no negative warm-up, got '
            f'{len(callables)}, {rounds} and {warmup}.'
        )
    seconds: dict[str, list[float]] = {name: [] for name in callables}
    console = Console(stderr=True)
    with one_thread():
        for turn in track(
            range(warmup + rounds),
            description=' / '.join(callables),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        ):
            for name, call in callables.items():
                start = clock()
                call()
                duration = clock() - start
                if turn >= warmup:
                    seconds[name].append(duration)
    return Times(seconds)


@contextmanager
def one_thread() -> Iterator[None]:
    """Torch and OpenCV on one thread, their former settings restored afterwards."""
    torch_threads, cv2_threads = torch.get_num_threads(), cv2.getNumThreads()
    torch.set_num_threads(1)
    cv2.setNumThreads(0)
    try:
        yield
    finally:
        torch.set_num_threads(torch_threads)
        cv2.setNumThreads(cv2_threads)


def print_ratios(times: Times, pairs: Sequence[tuple[str, str]], title: str) -> None:
    """Print a table of ratios: alternative, base, milliseconds of both, ratio and its quartiles."""
    table = Table(title=title)
    for heading in ('numerator', 'denominator', 'ms', 'ms', 'ratio', 'quartiles'):
        table.add_column(heading, justify='left' if 'ator' in heading else 'right')
    for name, base in pairs:
        ratio = times.ratio(name, base)
        table.add_row(
            name,
            base,
            f'{1e3 * times.median(name):.1f}',
            f'{1e3 * times.median(base):.1f}',
            f'{ratio.value:.3f}',
            f'{ratio.low:.3f}-{ratio.high:.3f}',
        )
    Console().print(table)
