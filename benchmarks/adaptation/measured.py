"""What was measured: the rows, the sets and the mIoU by seed of a ``results.json``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from benchmarks.adaptation.measure import DAY
from benchmarks.adaptation.rows import ROWS

Results = Mapping[str, Any]


def row_names(results: Results) -> list[str]:
    """Rows that have a result, in the order of the tables."""
    return [name for name in ROWS if results['runs'].get(name)]


def set_names(results: Results) -> list[str]:
    """Sets that were measured, the night sets first."""
    sets = [s for row in results['runs'].values() for run in row.values() for s in run['sets']]
    return sorted(dict.fromkeys(sets), key=lambda name: name == DAY)


def night_sets(results: Results) -> list[str]:
    """Sets on which M_n was measured."""
    return [name for name in set_names(results) if name != DAY]


def main_set(results: Results) -> str:
    """The set of the per-class table and of the curves: the first."""
    return set_names(results)[0]


def mious(results: Results, row: str, dataset: str) -> dict[str, float]:
    """MIoU in percent by seed; empty if there is none."""
    runs = results['runs'].get(row, {})
    return {s: run['sets'][dataset]['mIoU'] for s, run in runs.items() if dataset in run['sets']}


def on_unseen(results: Results, dataset: str) -> Results:
    """The same results with the scores on one unseen set alone, so that every table can be drawn of it.

    Args:
        results: Content of ``results.json``.
        dataset: Name of the set, a key of ``results['unseen']``.
    """
    by_row = results['unseen'][dataset]
    runs = {
        row: {seed: {'sets': {dataset: scores}} for seed, scores in by_seed.items()}
        for row, by_seed in by_row.items()
    }
    return {**results, 'runs': runs}
