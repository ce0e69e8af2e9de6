"""Where the time of a training sample goes: each transform, from the files and from each format of a cache."""

from __future__ import annotations

import statistics
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from benchmarks.performance.frames import write_frames
from benchmarks.performance.sample_pipeline import Drawing, training_set
from benchmarks.performance.sizes import Sizes
from benchmarks.timing import one_thread
from mmseg_ccdistill.datasets.image_cache import SUFFIXES

#: What is left of a sample: choosing, seeding and collecting.
REST = 'everything else'
WHOLE = 'whole sample'

#: Where images come from.
PLACES = {'files': 'the files', 'png': 'a cache of run-length PNG', 'raw': 'a cache of arrays'}


def profile_samples(
    settings: Sizes, clock: Callable[[], float] = time.process_time
) -> dict[str, dict[str, float]]:
    """Time every transform of the paper's training set, on one thread.

    The same draws are taken from the files, from a cache of run-length PNG and from one of arrays, in turn.

    Args:
        settings: ``rounds`` is the number of samples, ``source``, ``target`` and ``files`` say which frames.
        clock: Gives seconds. Defaults to ``time.process_time``, the processor time of this process.

    Returns:
        Rows by name, in the order of the work: part of the sample and transform, then :data:`REST` and
        :data:`WHOLE`. Each holds milliseconds per sample by place, ``'files'``, ``'png'`` and ``'raw'``: medians
        over the samples; both images of a pair count together.
    """
    with tempfile.TemporaryDirectory() as folder:
        write_frames(Path(folder), settings)
        sets = {kind or 'files': training_set(Path(folder), kind) for kind in (None, *SUFFIXES)}
        spent = {place: _Spent(dataset, clock) for place, dataset in sets.items()}
        with one_thread():
            for draw in range(settings.rounds + 1):
                for taken in spent.values():
                    taken.sample(counts=draw > 0)  # the first one fills caches
    rows: dict[str, dict[str, float]] = defaultdict(dict)
    for place, found in spent.items():
        for name, milliseconds in found.medians().items():
            rows[name][place] = milliseconds
    order = [*spent['files'].steps(), REST, WHOLE]
    return {name: rows[name] for name in order}


def profile_sample(settings: Sizes) -> dict[str, dict[str, Any]]:
    """The profile as tables of ``python -m benchmarks.performance --profile sample`` show it.

    Args:
        settings: See :func:`profile_samples`.

    Returns:
        For every place ``unit`` and ``parts``, the milliseconds by transform.
    """
    rows = profile_samples(settings)
    return {
        f'training sample from {title}': dict(
            unit='ms',
            parts={name: max(row[place], 0.0) for name, row in rows.items() if name != WHOLE},
        )
        for place, title in PLACES.items()
    }


class _Spent:
    """Times of one training set, whose transforms it takes the place of."""

    def __init__(self, dataset: Any, clock: Callable[[], float]) -> None:
        self.clock = clock
        self.draw = Drawing(dataset)
        self.samples: list[dict[str, float]] = []
        self.now: dict[str, float] = {}
        for part, pipeline in _pipelines(dataset):
            pipeline.transforms = [
                self._timed(f'{part}: {_name(place, step)}', step)
                for place, step in enumerate(pipeline.transforms)
            ]
            self.now |= dict.fromkeys((step.name for step in pipeline.transforms), 0.0)

    def steps(self) -> list[str]:
        """Names of the transforms, in their order."""
        return list(self.now)

    def sample(self, counts: bool) -> None:
        """Make the next sample; it ``counts``, or is forgotten."""
        self.now = dict.fromkeys(self.now, 0.0)
        start = self.clock()
        self.draw()
        whole = self.clock() - start
        if counts:
            rest = whole - sum(self.now.values())
            self.samples.append({**self.now, REST: rest, WHOLE: whole})

    def medians(self) -> dict[str, float]:
        """Milliseconds per sample by row."""
        return {
            name: 1e3 * statistics.median(sample[name] for sample in self.samples)
            for name in self.samples[0]
        }

    def _timed(self, name: str, step: Callable) -> Any:
        def timed(results: dict) -> Any:
            start = self.clock()
            try:
                return step(results)
            finally:
                self.now[name] += self.clock() - start

        timed.name = name  # type: ignore[attr-defined]
        return timed


def _pipelines(dataset: Any) -> Iterator[tuple[str, Any]]:
    yield 'labelled day', dataset.source.pipeline
    yield 'pair', dataset.target.pipeline
    yield 'all', dataset.pipeline


def _name(place: int, step: Callable) -> str:
    """The loader has one name, whatever it reads."""
    return 'load image' if place == 0 and 'Load' in type(step).__name__ else type(step).__name__
