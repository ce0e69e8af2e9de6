"""IoU of three groups of classes that are lost at night for different reasons."""

from __future__ import annotations

import numpy as np

from benchmarks.adaptation.measured import Results, mious, row_names
from benchmarks.adaptation.rows import BASELINE, ROWS
from benchmarks.adaptation.tables import Table
from mmseg_ccdistill.reports.seed_statistics import paired_difference

#: Every class of Cityscapes is in one group. Vehicles have no pseudo labels; large static classes have the surest; thin
#: and small ones lose where confident background wins.
CLASS_GROUPS = {
    'vehicles': ('car', 'truck', 'bus', 'train'),
    'large static': (
        *('road', 'sidewalk', 'building', 'wall', 'fence'),
        *('vegetation', 'terrain', 'sky'),
    ),
    'thin and small': (
        *('pole', 'traffic light', 'traffic sign', 'person', 'rider'),
        *('motorcycle', 'bicycle'),
    ),
}

#: What :func:`class_group_table` shows.
GROUP_NOTE = (
    f'Mean IoU of the classes of a group that have pixels in the labels; in brackets the difference to '
    f'{ROWS[BASELINE].title}, paired by seed.'
)


def group_iou(results: Results, row: str, dataset: str, group: str) -> dict[str, float]:
    """Mean IoU of a group by seed, over its classes that the labels have; none where they have none of them.

    Args:
        results: Content of ``results.json``.
        row: The row.
        dataset: Name of the set.
        group: A key of :data:`CLASS_GROUPS`.
    """
    found = {}
    for seed, run in results['runs'].get(row, {}).items():
        scores = run['sets'].get(dataset)
        if scores is None:
            continue
        values = [
            iou
            for name, iou, pixels in zip(
                results['classes'], scores['IoU'], scores['label_pixels'], strict=True
            )
            if name in CLASS_GROUPS[group] and pixels
        ]
        if values:
            found[seed] = float(np.mean(values))
    return found


def class_group_table(results: Results, dataset: str) -> Table:
    """IoU of the groups, mean over seeds.

    Args:
        results: Content of ``results.json``.
        dataset: Name of the set.

    Returns:
        A head with the groups, and a row for each row of the suite.
    """
    table = [['row', *CLASS_GROUPS]]
    for name in row_names(results):
        if not mious(results, name, dataset):
            continue
        cells = []
        for group in CLASS_GROUPS:
            values = group_iou(results, name, dataset, group)
            own = f'{np.mean(list(values.values())):.1f}' if values else ''
            change = paired_difference(values, group_iou(results, BASELINE, dataset, group))
            is_other = name != BASELINE and change is not None
            cells.append(f'{own} ({change.value:+.1f})' if is_other and change else own)
        table.append([ROWS[name].title, *cells])
    return table
