"""Training samples as rows of a panel."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from .panel import colorize, panel, present_classes


@dataclass(frozen=True)
class DrawRow:
    """One training sample.

    Attributes:
        number: Number of the draw.
        columns: By column title a photograph ``(H, W, 3)`` BGR uint8 or a label map ``(H, W)``.
        captions: By column title what stands below it; nothing where there is none.
    """

    number: int
    columns: Mapping[str, np.ndarray]
    captions: Mapping[str, str]


def draw_panel(
    rows: Sequence[DrawRow],
    classes: Sequence[str],
    palette: Sequence[Sequence[int]],
    tile_width: int = 256,
) -> np.ndarray:
    """Draw samples below each other, and a legend of the classes that they show.

    Args:
        rows: The samples; all have the columns of the first.
        classes: Class names.
        palette: RGB colour of each class.
        tile_width: Width of an image in pixels.

    Returns:
        The panel, ``(H, W, 3)`` BGR uint8.

    Raises:
        ValueError: If there is no row, or the columns of two rows differ.
    """
    if not rows:
        raise ValueError('a panel of draws needs at least one')
    titles = list(rows[0].columns)
    for row in rows:
        if list(row.columns) != titles:
            raise ValueError(f'draw {row.number} has {list(row.columns)}: expected {titles}')
    maps = [image for row in rows for image in row.columns.values() if image.ndim == 2]
    names, colours = present_classes(maps, classes, palette)
    height, width = rows[0].columns[titles[0]].shape[:2]
    return panel(
        [
            [
                colorize(image, palette) if image.ndim == 2 else image
                for image in row.columns.values()
            ]
            for row in rows
        ],
        titles,
        [f'draw {row.number}' for row in rows],
        (tile_width, round(tile_width * height / width)),
        names or None,
        colours or None,
        captions=[[row.captions.get(title, '') for title in titles] for row in rows],
    )
