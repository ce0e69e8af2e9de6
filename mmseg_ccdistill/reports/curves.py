"""Curves of one run or of several, as small panels."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from .svg import GREY, OKABE_ITO, draw

#: Rows of a log, one dict for each logging interval.
Rows = Sequence[Mapping[str, Any]]

#: Where a value means trouble, as CollapseAlarmHook has it by default (docs/training.md).
LIMITS: dict[str, tuple[float, ...]] = {
    'cor.contrast_source': (0.02,),
    'cor.contrast_target': (0.02,),
    'cor.in_day_mean': (-0.85, 0.85),
    'cor.in_night_mean': (-0.85, 0.85),
    'cor.effective_rank': (4.0,),
    'pseudo.share': (0.05,),
    'pseudo.largest_class': (0.95,),
}

#: Headings of a page and which keys stand under each, in this order; a key stands under the first that takes it.
GROUPS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ('Cor maps', ('cor.',)),
    ('Pseudo labels', ('pseudo.',)),
    ('Relighting', ('light.',)),
    ('Learning rate', ('lr', 'base_lr')),
    ('Time and memory', ('time', 'data_time', 'memory')),
)
_NOT_CURVES = ('step', 'iter', 'epoch')
_STYLES = ('-', '--', ':', '-.')


def group_keys(rows: Rows) -> dict[str, list[str]]:
    """Sort the keys of a log under headings.

    Args:
        rows: Logged values.

    Returns:
        Keys by heading, headings without keys left out: ``Loss terms`` first, then those of :data:`GROUPS`, then
        ``Other values``.
    """
    keys = list(dict.fromkeys(key for row in rows for key in row if key not in _NOT_CURVES))
    found: dict[str, list[str]] = {'Loss terms': []}
    found.update({heading: [] for heading, _ in GROUPS})
    found['Other values'] = []
    for key in keys:
        heading = next((name for name, starts in GROUPS if key.startswith(starts)), 'Other values')
        found['Loss terms' if 'loss' in key else heading].append(key)
    return {heading: listed for heading, listed in found.items() if listed}


def curves(runs: Mapping[str, Rows], keys: Sequence[str], columns: int = 3) -> Figure:
    """One panel for each key, over iterations; limits of the alarms are dotted.

    Args:
        runs: Logged values by title. Several get colours and a legend.
        keys: What is drawn.
        columns: Panels beside each other.

    Returns:
        The figure. A value that is not finite leaves a gap.
    """
    lines = math.ceil(len(keys) / columns)

    def fill(axes: np.ndarray) -> None:
        for place, axis in enumerate(axes.flat):
            if place < len(keys):
                _panel(axis, runs, keys[place])
            else:
                axis.set_axis_off()
        if len(runs) > 1:
            figure = axes.flat[0].figure
            figure.legend(
                *axes.flat[0].get_legend_handles_labels(), loc='outside upper left', ncols=2
            )

    legend = 0.2 * math.ceil(len(runs) / 2) if len(runs) > 1 else 0.0
    return draw(1.6 * lines + 0.2 + legend, lines, columns, fill)


def _panel(axis: Axes, runs: Mapping[str, Rows], key: str) -> None:
    for index, (title, rows) in enumerate(runs.items()):
        points = [(row['step'], row[key]) for row in rows if key in row and 'step' in row]
        steps, values = zip(*points, strict=True) if points else ((), ())
        finite = [value if math.isfinite(value) else math.nan for value in values]
        axis.plot(
            steps,
            finite,
            _STYLES[index // len(OKABE_ITO) % len(_STYLES)],
            color=OKABE_ITO[(index + 2) % len(OKABE_ITO)],
            lw=1.2,
            marker='o' if len(points) < 3 else None,
            ms=3,
            label=title,
        )
    low, high = axis.get_ylim()
    for limit in LIMITS.get(key, ()):
        if low <= limit <= high or min(abs(limit - low), abs(limit - high)) < (high - low):
            axis.axhline(limit, color=GREY, lw=0.8, ls=':')
    axis.set_title(key, loc='left')
    axis.ticklabel_format(axis='y', scilimits=(-3, 4), useOffset=False)
    axis.locator_params(axis='x', nbins=4)
    axis.margins(x=0)
