"""Figures of a suite's results, as SVG."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmarks.adaptation.measured import Results, main_set, mious, row_names
from benchmarks.adaptation.rows import BASELINE, ORACLE, ROWS, SOURCE_ONLY
from mmseg_ccdistill.reports.seed_statistics import Estimate, paired_difference, spread
from mmseg_ccdistill.reports.svg import GREY, INK, OKABE_ITO, draw

#: Line styles that go on where the colours begin again.
STYLES: tuple[str | tuple[int, tuple[int, ...]], ...] = (
    *('-', '--', ':', '-.'),
    *((0, (6, 1)), (0, (3, 1, 1, 1, 1, 1)), (0, (1, 4)), (0, (8, 3, 1, 3)), (0, (5, 5))),
)

#: Loss terms by the key of the log, in the order of the panels.
TERMS = {
    'source_day.loss_seg': 'L_seg on S_d',
    'source_night.loss_seg': 'L_seg on S_n',
    'target_night.loss_pseudo': 'L_pseudo on T_n',
    'cross.loss_cdc_js': 'L_JS of CDC',
    'cross.loss_cdc_illu': 'illuminance square of CDC',
    'cross.loss_cdc_in': 'inherent square of CDC',
    'cross.loss_cds': 'L_CDS',
    'decode.loss_seg': 'L_seg of one network',
}
COR_MAPS = {
    'illu_source': 'Cor_illu_S',
    'illu_target': 'Cor_illu_T',
    'in_day': 'Cor_in_d',
    'in_night': 'Cor_in_n',
}


def colour_of(row: str) -> str:
    """Colour of a row, the same in every figure."""
    return OKABE_ITO[list(ROWS).index(row) % len(OKABE_ITO)]


def style_of(row: str) -> str | tuple[int, tuple[int, ...]]:
    """Line style of a row; with the colour it is of that row alone among the first 63."""
    return STYLES[list(ROWS).index(row) // len(OKABE_ITO) % len(STYLES)]


def _dots(
    axes: Axes, names: Sequence[str], points: Sequence[Sequence[float]], means: Sequence[Estimate]
) -> None:
    """One line for each row: a ring for each seed, the mean, its interval."""
    for y, (name, values, mean) in enumerate(zip(names, points, means, strict=True)):
        axes.plot(values, [y + 0.22] * len(values), 'o', mfc='none', mec=colour_of(name), ms=4.5)
        if mean.interval is not None:
            axes.plot(
                mean.interval, [y, y], '-', color=colour_of(name), lw=2, solid_capstyle='butt'
            )
        axes.plot(mean.value, y, 'D', color=colour_of(name), ms=5.5)
    axes.set_yticks(range(len(names)), [ROWS[name].title for name in names])
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.grid(axis='x', color='#dddddd', lw=0.6)
    axes.set_axisbelow(True)


def mious_figure(results: Results, dataset: str) -> Figure:
    """MIoU of every row on one set: each seed, mean and interval.

    Args:
        results: Content of ``results.json``.
        dataset: Name of the set.
    """
    names = [name for name in row_names(results) if mious(results, name, dataset)]
    points = [list(mious(results, name, dataset).values()) for name in names]

    def fill(grid: np.ndarray) -> None:
        axes = grid[0, 0]
        _dots(axes, names, points, [spread(values).mean for values in points])
        axes.set_xlabel(f'mIoU on {dataset}, %')

    return draw(0.9 + 0.36 * len(names), 1, 1, fill)


def differences_figure(results: Results, dataset: str) -> Figure | None:
    """Differences of the method's rows to the baseline, paired by seed, with their intervals.

    Source-only and the oracle lie so far off that the others could not be told apart; the table has them.

    Args:
        results: Content of ``results.json``.
        dataset: Name of the set.

    Returns:
        The figure; None without a baseline to compare with.
    """
    base = mious(results, BASELINE, dataset)
    names, points, means = [], [], []
    for name in row_names(results):
        values = mious(results, name, dataset)
        found = paired_difference(values, base) if values and base else None
        if found is not None and name not in (BASELINE, SOURCE_ONLY, ORACLE):
            names.append(name)
            points.append([values[seed] - base[seed] for seed in values if seed in base])
            means.append(found)
    if not names:
        return None

    def fill(grid: np.ndarray) -> None:
        axes = grid[0, 0]
        axes.axvline(0, color=INK, lw=1)
        _dots(axes, names, points, means)
        axes.set_xlabel(f'difference to {ROWS[BASELINE].title} on {dataset}, points of mIoU')

    return draw(0.9 + 0.36 * len(names), 1, 1, fill)


def _mean_curve(curves: Sequence[Sequence[Sequence[float]]]) -> tuple[np.ndarray, np.ndarray]:
    """Iterations that all curves have, and the mean there."""
    tables = [{int(x): y for x, y in curve} for curve in curves]
    shared = sorted(set.intersection(*(set(table) for table in tables)))
    return np.array(shared), np.array([np.mean([t[x] for t in tables]) for x in shared])


def curves_figure(results: Results) -> Figure | None:
    """Night mIoU against the iteration, a panel for each row; the baseline's mean is in all of them.

    Args:
        results: Content of ``results.json``.

    Returns:
        The figure; None if no row was measured on the way.
    """
    curves: dict[str, list[Any]] = {}
    for name in row_names(results):
        found = [run['curve'] for run in results['runs'][name].values() if run['curve']]
        if found:
            curves[name] = found
    if not curves:
        return None
    columns = 2 if len(curves) == 4 else min(len(curves), 3)
    lines = -(-len(curves) // columns)

    def fill(grid: np.ndarray) -> None:
        for axes, name in zip(grid.flat, curves, strict=False):
            if BASELINE in curves and name != BASELINE:
                axes.plot(*_mean_curve(curves[BASELINE]), color=GREY, lw=1.2, ls=':')
            for curve in curves[name]:
                axes.plot(*zip(*curve, strict=True), color=colour_of(name), lw=0.7, alpha=0.45)
            axes.plot(*_mean_curve(curves[name]), 'o-', color=colour_of(name), lw=1.8, ms=3)
            axes.set_title(ROWS[name].title)
        _share_scales(grid, len(curves), f'mIoU on {main_set(results)}, %')

    return draw(0.5 + 1.75 * lines, lines, columns, fill)


def source_figure(results: Results) -> Figure | None:
    """MIoU of the source stages on their own validation set against the iteration, a line for each seed.

    Args:
        results: Content of ``results.json``.

    Returns:
        The figure; None if no source stage was measured on the way.
    """
    curves = [source.get('curve', []) for source in results['sources'].values()]
    curves = [curve for curve in curves if len(curve) > 1]
    if not curves:
        return None

    def fill(grid: np.ndarray) -> None:
        axes = grid[0, 0]
        for curve in curves:
            axes.plot(*zip(*curve, strict=True), 'o-', color=INK, lw=1, ms=3, alpha=0.6)
        axes.grid(color='#e5e5e5', lw=0.6)
        axes.set_xlabel('iteration of the source stage')
        axes.set_ylabel('mIoU on S by day, %')

    return draw(2.6, 1, 1, fill)


def _share_scales(grid: np.ndarray, used: int, label: str) -> None:
    """Give all panels one scale, name the outer ones, and hide those that are not used."""
    panels = list(grid.flat)
    low, high = (
        min(a.get_ylim()[0] for a in panels[:used]),
        max(a.get_ylim()[1] for a in panels[:used]),
    )
    for index, axes in enumerate(panels):
        axes.set_visible(index < used)
        axes.set_ylim(low, high)
        axes.grid(color='#e5e5e5', lw=0.6)
        axes.set_xlabel('iteration' if index + grid.shape[1] >= used else '')
        axes.set_ylabel(label if index % grid.shape[1] == 0 else '')


def losses_figure(results: Results) -> Figure | None:
    """Loss terms against the iteration, a panel for each term, a line for each row (mean over seeds).

    Args:
        results: Content of ``results.json``.

    Returns:
        The figure; None if nothing was logged.
    """
    terms: dict[str, dict[str, list[Any]]] = {}
    for key in TERMS:
        for name in row_names(results):
            runs = results['runs'][name].values()
            found = [run['losses'][key] for run in runs if run['losses'].get(key)]
            if found:
                terms.setdefault(key, {})[name] = found
    if not terms:
        return None
    lines = -(-len(terms) // 2)

    def fill(grid: np.ndarray) -> None:
        handles: dict[str, Any] = {}
        for axes, (key, rows) in zip(grid.flat, terms.items(), strict=False):
            for name, found in rows.items():
                (handles[name],) = axes.plot(
                    *_mean_curve(found), linestyle=style_of(name), color=colour_of(name), lw=1.2
                )
            axes.set_title(TERMS[key])
            axes.grid(color='#e5e5e5', lw=0.6)
            axes.set_xlabel('iteration')
        for axes in list(grid.flat)[len(terms) :]:
            axes.set_visible(False)
        shown = [name for name in row_names(results) if name in handles]
        grid[0, 0].figure.legend(
            [handles[name] for name in shown],
            [ROWS[name].title for name in shown],
            loc='outside lower center',
            ncols=4,
            frameon=False,
        )

    return draw(0.9 + 1.75 * lines, lines, 2, fill)


def correlations_figure(results: Results, row: str) -> Figure | None:
    """Histograms of the four Cor maps of a row at its start and end, over all seeds.

    Args:
        results: Content of ``results.json``.
        row: The row.

    Returns:
        The figure; None if they were not counted.
    """
    runs = results['runs'].get(row, {}).values()
    found: list[Mapping[str, Any]] = [
        run['correlations'] for run in runs if run.get('correlations')
    ]
    if not found:
        return None
    edges = np.array(found[0]['edges'])

    def fill(grid: np.ndarray) -> None:
        for axes, (key, title) in zip(grid.flat, COR_MAPS.items(), strict=True):
            for moment, colour in (('start', GREY), ('end', OKABE_ITO[2])):
                counts = np.sum([run[moment][key] for run in found], axis=0)
                axes.stairs(
                    counts / counts.sum() * 100,
                    edges,
                    color=colour,
                    fill=moment == 'start',
                    alpha=0.55 if moment == 'start' else 1,
                    lw=1.6,
                    label=f'{moment} of the adaptation',
                )
            axes.set_title(title)
            axes.set_xlabel('cosine')
            axes.set_ylabel('% of positions')
            axes.set_xlim(-1, 1)
        grid[0, 0].figure.legend(
            *grid[0, 0].get_legend_handles_labels(),
            loc='outside lower center',
            ncols=2,
            frameon=False,
        )

    return draw(4.2, 2, 2, fill)
