"""Table of what the rows cost."""

from __future__ import annotations

import numpy as np

from benchmarks.adaptation.measured import Results, row_names
from benchmarks.adaptation.rows import BASELINE, ROWS
from benchmarks.adaptation.tables import Table

#: How to read :func:`cost_table`.
COST_NOTE = (
    'TFLOP of convolutions and matrix products, forward and backward, and activations kept for the backward pass are '
    'counted: the mean and the largest of all iterations. The ratio is measured: median time of an iteration over that '
    f'of {ROWS[BASELINE].title} with the same seed, with all that ran beside it on the machine.'
)


def cost_table(results: Results) -> Table:
    """Cost of every row whose cost is known.

    Args:
        results: Content of ``results.json``.

    Returns:
        A head and a row for each of them; the head alone if none is known.
    """
    table = [
        [
            *('row', 'iterations', 'TFLOP per iteration', 'TFLOP of the training'),
            *('activations, GiB', f'time per iteration, {ROWS[BASELINE].title} = 1'),
        ]
    ]
    for name in row_names(results):
        runs = [run for run in results['runs'][name].values() if run.get('cost')]
        if not runs:
            continue
        cost, iters = runs[0]['cost'], runs[0]['iters']
        ratio = time_ratio(results, name)
        table.append(
            [
                *(ROWS[name].title, str(iters), f'{cost["tflop"]:.3g}'),
                f'{iters * cost["tflop"]:.3g}',
                *(f'{cost["gib"]:.3g}', '' if ratio is None else f'{ratio:.2f}'),
            ]
        )
    return table


def time_ratio(results: Results, row: str) -> float | None:
    """Time of an iteration over that of the baseline, mean over the seeds that both have; None without one.

    Args:
        results: Content of ``results.json``.
        row: The row.
    """
    seconds = [
        {
            seed: run['step_seconds']
            for seed, run in results['runs'].get(name, {}).items()
            if run.get('step_seconds')
        }
        for name in (row, BASELINE)
    ]
    common = set(seconds[0]) & set(seconds[1])
    return float(np.mean([seconds[0][s] / seconds[1][s] for s in common])) if common else None
