"""Tables of a suite's results with a line for each class."""

from __future__ import annotations

import numpy as np

from benchmarks.adaptation.measured import Results, mious, row_names
from benchmarks.adaptation.rows import BASELINE, ROWS
from benchmarks.adaptation.tables import Table

#: What :func:`left_out_table` shows.
LEFT_OUT_NOTE = (
    'Difference in mIoU to w/o CDC and CDS with one class left out of the mean; in brackets the difference in '
    'IoU of that class.'
)


def class_table(results: Results, dataset: str) -> Table:
    """Mean IoU over seeds of every class that has pixels in the ground truth of some seed.

    Args:
        results: Content of ``results.json``.
        dataset: Name of the set.

    Returns:
        A head with the rows of the suite, and a row for each class.
    """
    rows = [name for name in row_names(results) if mious(results, name, dataset)]
    runs = {
        name: [r['sets'][dataset] for r in results['runs'][name].values() if dataset in r['sets']]
        for name in rows
    }
    table = [['class', *(ROWS[name].title for name in rows)]]
    for index, name in enumerate(results['classes']):
        if not any(s['label_pixels'][index] for scores in runs.values() for s in scores):
            continue
        cells = []
        for scores in runs.values():
            values = [s['IoU'][index] for s in scores if s['label_pixels'][index]]
            cells.append(f'{sum(values) / len(values):.1f}' if values else '')
        table.append([name, *cells])
    return table


def iou_by_seed(results: Results, row: str, dataset: str) -> dict[str, np.ndarray]:
    """IoU of every class by seed; NaN for a class that occurs neither in labels nor in predictions.

    Args:
        results: Content of ``results.json``.
        row: Name of the row.
        dataset: Name of the set.
    """
    runs = results['runs'].get(row, {})
    return {
        seed: np.array(run['sets'][dataset]['IoU'], dtype=np.float64)
        for seed, run in runs.items()
        if dataset in run['sets']
    }


def left_out_table(results: Results, dataset: str) -> Table:
    """Differences to the baseline with one class left out of the mean: does a single class carry a row?

    Args:
        results: Content of ``results.json``.
        dataset: Name of the set.

    Returns:
        A head with the rows of the suite; a row for the mean of all classes, then one for each class that some label
        of the set has: the mean difference in mIoU without it, and its own mean difference in IoU.
    """
    reference = iou_by_seed(results, BASELINE, dataset)
    rows = [n for n in row_names(results) if n != BASELINE and mious(results, n, dataset)]
    of_row = {name: iou_by_seed(results, name, dataset) for name in rows}
    common = {name: sorted(set(iou) & set(reference), key=int) for name, iou in of_row.items()}
    rows = [name for name in rows if common[name]]
    if not rows:
        return [['class left out']]
    pixels = np.array(
        [
            run['sets'][dataset]['label_pixels']
            for run in results['runs'][BASELINE].values()
            if dataset in run['sets']
        ]
    )

    def text(name: str, index: int | None) -> str:
        kept = np.arange(len(results['classes'])) != index
        pairs = [(of_row[name][seed], reference[seed]) for seed in common[name]]
        without = np.mean([np.nanmean(a[kept]) - np.nanmean(b[kept]) for a, b in pairs])
        if index is None:
            return f'{without:+.1f}'
        own = np.array([a[index] - b[index] for a, b in pairs])
        own = own[~np.isnan(own)]
        return f'{without:+.1f} ({own.mean():+.1f})' if len(own) else f'{without:+.1f}'

    table = [['class left out', *(ROWS[name].title for name in rows)]]
    table.append(['none', *(text(name, None) for name in rows)])
    for index, title in enumerate(results['classes']):
        if pixels[:, index].any():
            table.append([title, *(text(name, index) for name in rows)])
    return table
