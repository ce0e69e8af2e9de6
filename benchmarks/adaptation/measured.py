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


def mious(results: Results, row: str, dataset: str, present: bool = False) -> dict[str, float]:
    """MIoU in percent by seed; empty if there is none.

    Args:
        results: Content of ``results.json``.
        row: Name of the row.
        dataset: Name of the set.
        present: Leave out classes without a pixel in the labels (``mIoU_present``). MMSegmentation's mIoU, the
            default, counts such a class as 0 where it is predicted, and not at all where it is not.
    """
    runs = results['runs'].get(row, {})
    key = 'mIoU_present' if present else 'mIoU'
    return {s: run['sets'][dataset][key] for s, run in runs.items() if dataset in run['sets']}


def counts_absent_classes(results: Results, dataset: str) -> bool:
    """Whether some mIoU of a set has a class without a pixel in the labels."""
    scores = [
        run['sets'][dataset]
        for runs in results['runs'].values()
        for run in runs.values()
        if dataset in run['sets']
    ]
    return any(
        iou is not None and not pixels
        for of_run in scores
        for iou, pixels in zip(of_run['IoU'], of_run['label_pixels'], strict=True)
    )


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
