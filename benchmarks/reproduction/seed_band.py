"""Curves of a training, inside the band of runs with other seeds where there are any."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib import rc_context
from matplotlib.figure import Figure

from mmseg_ccdistill.errors import UserInputError
from mmseg_ccdistill.reports.training_log import history

#: Values by step.
Curve = dict[int, float]


def curves_of(run: Path, prefixes: Sequence[str] = ('loss', 'mIoU')) -> dict[str, Curve]:
    """Logged losses and scores of a training, over all processes that it took.

    Args:
        run: Folder of the training.
        prefixes: What a key, or its part after the last dot, begins with.
    """
    curves: dict[str, Curve] = {}
    for row in history(run):
        for key, value in row.items():
            if key.rpartition('.')[2].startswith(tuple(prefixes)) and 'step' in row:
                curves.setdefault(key, {})[int(row['step'])] = float(value)
    return curves


def seed_band(runs: Sequence[Mapping[str, Curve]], key: str) -> dict[int, tuple[float, float]]:
    """Smallest and largest value of some runs, at the steps that all of them have.

    Args:
        runs: Curves of each run.
        key: Which curve.
    """
    found = [run[key] for run in runs if key in run]
    if len(found) < len(runs) or not found:
        return {}
    steps = sorted(set.intersection(*(set(curve) for curve in found)))
    return {step: (min(c[step] for c in found), max(c[step] for c in found)) for step in steps}


def share_inside(curve: Curve, band: Mapping[int, tuple[float, float]]) -> float | None:
    """Share of the common steps at which a curve is inside a band, ends included; None without such steps."""
    steps = [step for step in curve if step in band]
    if not steps:
        return None
    inside = [band[step][0] <= curve[step] <= band[step][1] for step in steps]
    return sum(inside) / len(steps)


def check_runs(runs: Sequence[Path]) -> None:
    """Refuse runs that make no band.

    Raises:
        UserInputError: If there is one alone, or one has logged nothing.
    """
    if len(runs) == 1:
        raise UserInputError(
            '--seed-runs: one run has no spread: expected folders of two or more trainings with other seeds; name more'
        )
    for run in runs:
        if not curves_of(run):
            raise UserInputError(
                f'--seed-runs: {str(run)!r} has no log: expected the work dir of a training, with a folder '
                'vis_data/scalars.json below it; correct the path'
            )


def draw_curves(run: Path, others: Sequence[Path], path: Path) -> dict[str, float]:
    """Draw every curve of a training as one SVG, with the band of the others behind it.

    Args:
        run: Folder of the training.
        others: Folders of the same training with other seeds; empty: no band.
        path: File to write.

    Returns:
        Share of the steps inside the band by curve, where there is a band.
    """
    own = curves_of(run)
    runs = [curves_of(other) for other in others]
    shares: dict[str, float] = {}
    if not own:
        return shares
    with rc_context({'svg.hashsalt': 'ccdistill', 'font.size': 8}):
        columns = 2
        rows = (len(own) + columns - 1) // columns
        figure = Figure(figsize=(10, 2.4 * rows), layout='constrained')
        axes: Any = figure.subplots(rows, columns, squeeze=False)
        for axis, (key, curve) in zip(axes.flat, sorted(own.items()), strict=False):
            band = seed_band(runs, key)
            if band:
                low, high = np.array(list(band.values())).T
                axis.fill_between(list(band), low, high, alpha=0.3, label=f'{len(runs)} seeds')
                share = share_inside(curve, band)
                if share is not None:
                    shares[key] = round(share, 4)
            axis.plot(list(curve), list(curve.values()), linewidth=0.8, label='this run')
            axis.set_title(key)
        for axis in list(axes.flat)[len(own) :]:
            axis.set_visible(False)
        axes[0, 0].legend()
        figure.savefig(path, format='svg', metadata={'Date': None})
    return shares
