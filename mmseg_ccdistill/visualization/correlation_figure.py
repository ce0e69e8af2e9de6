"""The four correlation maps between the images that they compare, as in Fig. 1 of the paper."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ..models.losses.content_correlation import COR_PAIRS
from .heat_map import color_bar, heat_map
from .panel import panel, write_text

#: Cosines lie between these.
SCALE = (-1.0, 1.0)

#: The paper's names of the maps.
_MAP_NAMES = {
    'illu_source': 'Cor_illu_S',
    'illu_target': 'Cor_illu_T',
    'in_day': 'Cor_in_d',
    'in_night': 'Cor_in_n',
}


@dataclass(frozen=True)
class DrawCorrelations:
    """Images and correlations of one draw.

    Attributes:
        number: Number of the draw.
        images: The four domains, ``(H, W, 3)`` BGR uint8 each.
        maps: The four Cor maps by the names of ``COR_PAIRS``, ``(h, w)`` floats each.
        numbers: Gram correlations, by name.
    """

    number: int
    images: Mapping[str, np.ndarray]
    maps: Mapping[str, np.ndarray]
    numbers: Mapping[str, float]


def correlation_figure(draws: Sequence[DrawCorrelations], tile_width: int = 320) -> np.ndarray:
    """Draw each Cor map between the two images that it compares.

    A draw is a square of three by three: S_d and S_n above, T_d and T_n below, their maps between
    them, and the Gram correlations in the middle. All maps share one scale, -1 to 1.

    Args:
        draws: What to show.
        tile_width: Width of each image in pixels.

    Returns:
        The figure, ``(H, W, 3)`` BGR uint8.

    Raises:
        ValueError: If there is no draw, or a map or image is missing.
    """
    if not draws:
        raise ValueError('a figure of correlations needs at least one draw')
    height, width = draws[0].images['source_day'].shape[:2]
    size = (tile_width, round(tile_width * height / width))
    rows: list[list[np.ndarray]] = []
    captions: list[list[str]] = []
    titles: list[str] = []
    for draw in draws:
        for row in _square(draw, size):
            rows.append([image for image, _ in row])
            captions.append([caption for _, caption in row])
        titles += ['', f'draw {draw.number}', '']
    grid = panel(rows, ['day', 'day and night', 'night'], titles, tile_size=size, captions=captions)
    bar = color_bar(*SCALE, (-1, -0.5, 0, 0.5, 1), grid.shape[1], max(12, round(tile_width / 20)))
    return np.concatenate([grid, bar])


def _square(
    draw: DrawCorrelations, size: tuple[int, int]
) -> tuple[tuple[tuple[np.ndarray, str], ...], ...]:
    """Three rows of three (tile, caption)."""
    maps = {name: _map_tile(name, draw.maps[name]) for name in COR_PAIRS}
    images = draw.images
    return (
        (
            (images['source_day'], 'S_d'),
            maps['illu_source'],
            (images['source_night'], 'S_n'),
        ),
        (
            maps['in_day'],
            (_numbers_tile(draw.numbers, size), 'Gram correlations'),
            maps['in_night'],
        ),
        (
            (images['target_day'], 'T_d'),
            maps['illu_target'],
            (images['target_night'], 'T_n'),
        ),
    )


def _map_tile(name: str, values: np.ndarray) -> tuple[np.ndarray, str]:
    """One Cor map and its caption."""
    caption = f'{_MAP_NAMES[name]}   mean {values.mean():.2f}, std {values.std():.2f}'
    return heat_map(values, *SCALE), caption


def _numbers_tile(numbers: Mapping[str, float], size: tuple[int, int]) -> np.ndarray:
    """A white tile with one line for each number."""
    width, height = size
    font_size = max(11, round(width / 22))
    line = round(1.6 * font_size)
    top = (height - line * (len(numbers) - 1)) // 2
    texts = [
        (f'{name} = {value:.4f}', (width // 2, top + i * line))
        for i, (name, value) in enumerate(numbers.items())
    ]
    return write_text(np.full((height, width, 3), 255, dtype=np.uint8), texts, font_size, 'mm')
