"""The panel of pictures of a suite: night input, ground truth and the predictions of the systems."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import mmcv
import numpy as np
from mmseg.utils import get_classes, get_palette

from benchmarks.adaptation.measured import Results, row_names
from benchmarks.adaptation.rows import ROWS
from mmseg_ccdistill.visualization.scene_comparison import Scene, comparison_figure

#: Predictions beside each other; more go below, under the same input and ground truth.
_COLUMNS = 7


def scene_panel(folders: Sequence[tuple[str, Path]]) -> np.ndarray | None:
    """Input, ground truth and the prediction of each row, for the scenes that were kept.

    Args:
        folders: Name of each row and the folder with its ``scenes.npz``.

    Returns:
        The figure, ``(H, W, 3)`` BGR uint8; None if no scene was kept or its image is gone.
    """
    kept = [(n, np.load(f / 'scenes.npz')) for n, f in folders if (f / 'scenes.npz').exists()]
    if not kept:
        return None
    first = kept[0][1]
    images = [str(path) for path in first['images']]
    if not all(Path(path).is_file() for path in images):
        return None
    scenes = [Scene(path, mmcv.imread(path), first[f'labels{i}']) for i, path in enumerate(images)]
    predictions = [
        (ROWS[name].title, [arrays[f'predictions{i}'] for i in range(len(images))])
        for name, arrays in kept
        if list(map(str, arrays['images'])) == images
    ]
    classes, palette = get_classes('cityscapes'), get_palette('cityscapes')
    bands = -(-len(predictions) // _COLUMNS)
    width = -(-len(predictions) // bands)
    figures = [
        comparison_figure(
            scenes, predictions[i : i + width], classes, palette, with_miou=True, tile_width=240
        )
        for i in range(0, len(predictions), width)
    ]
    widest = max(figure.shape[1] for figure in figures)
    return np.concatenate(
        [
            np.pad(f, ((0, 0), (0, widest - f.shape[1]), (0, 0)), constant_values=255)
            for f in figures
        ]
    )


def panel_rows(results: Results) -> list[str]:
    """Rows that the pictures show: those of the headline and of other methods that have a result."""
    shown = ('headline', 'rivals')
    return [name for name in row_names(results) if name in ROWS and ROWS[name].group in shown]
