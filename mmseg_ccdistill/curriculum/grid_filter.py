"""Cross bilateral filter on a bilateral grid: the form of GCMA's and MGCDA's released code, to compare with.

Paris and Durand, ECCV 2006: values are summed up in the cells of a coarse grid over place and colour, the grid is
blurred, and each pixel reads the blurred grid at its own place and colour.
"""

from __future__ import annotations

import itertools

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


def grid_filter(
    values: npt.ArrayLike,
    guide: npt.ArrayLike,
    space: float = 80.0,
    space_cell: float = 20.0,
    colour: float = 0.1,
    colour_cell: float = 0.1,
) -> Array:
    r"""Smooth a picture where the guide has one colour.

    The blur of each axis is cut off at one standard deviation (9 taps over place and 3 over colour by default), so
    nothing further away than about :math:`\sigma` counts: the result differs from the formula of
    :func:`window_filter`, in the released code too. One class is filtered after another: 5-dimensional grids of a
    large image are large (1.4 GB for 1920 x 1080).

    Args:
        values: ``(H, W, K)``.
        guide: ``(H, W, 3)``.
        space: :math:`\sigma` over place in pixels.
        space_cell: Side of a cell over place in pixels.
        colour: :math:`\sigma` over colour in units of the guide.
        colour_cell: Side of a cell over colour in units of the guide.

    Returns:
        float64 ``(H, W, K)``; probabilities keep their sum up to rounding.

    Raises:
        ValueError: If the sizes do not fit, or a number is not positive.
    """
    values, guide = np.asarray(values, dtype=np.float64), np.asarray(guide, dtype=np.float64)
    if values.ndim != 3 or guide.ndim != 3 or values.shape[:2] != guide.shape[:2]:
        raise ValueError(
            f'grid_filter got values {values.shape} and guide {guide.shape}: expected (H, W, K) and (H, W, 3).'
        )
    if min(space, space_cell, colour, colour_cell) <= 0:
        raise ValueError(
            f'grid_filter got space={space}, space_cell={space_cell}, colour={colour}, colour_cell={colour_cell}: '
            'expected positive numbers.'
        )
    position, shape, spreads = _grid(guide, space, space_cell, colour, colour_cell)
    cell = np.ravel_multi_index(tuple(np.floor(position + 0.5).astype(np.int64)), shape)
    count = _blurred(np.bincount(cell, minlength=int(np.prod(shape))), shape, spreads)
    corners, parts = _corners(position, shape)
    weight = _read(count, corners, parts)
    filtered = [
        _read(
            _blurred(np.bincount(cell, plane, int(np.prod(shape))), shape, spreads), corners, parts
        )
        / weight
        for plane in values.reshape(-1, values.shape[2]).T
    ]
    return np.stack(filtered, -1).reshape(values.shape)


def _grid(
    guide: Array, space: float, space_cell: float, colour: float, colour_cell: float
) -> tuple[Array, tuple[int, ...], list[float]]:
    """Where each pixel lies in the grid ``(5, H * W)``, the grid's shape, and the spread over each axis in cells."""
    height, width = guide.shape[:2]
    y, x = np.mgrid[:height, :width]
    over_place = np.stack([y, x]).reshape(2, -1) / space_cell
    colours = guide.reshape(-1, guide.shape[2]).T
    over_colour = (colours - colours.min(1, keepdims=True)) / colour_cell
    position = np.concatenate([over_place, over_colour])
    spreads = [space / space_cell] * 2 + [colour / colour_cell] * len(over_colour)
    padding = np.array([2 * int(spread) + 1 for spread in spreads])
    shape = np.floor(position.max(1)).astype(np.int64) + 1 + 2 * padding
    return position + padding[:, None], tuple(int(n) for n in shape), spreads


def _blurred(grid: npt.ArrayLike, shape: tuple[int, ...], spreads: list[float]) -> Array:
    """A grid blurred along each axis by a Gaussian that is cut off at one standard deviation; flat."""
    blurred = np.asarray(grid, dtype=np.float64)
    for axis, spread in enumerate(spreads):
        taps = np.arange(-int(spread), int(spread) + 1)
        kernel = np.exp(-(taps**2) / (2 * spread**2))
        before, after = int(np.prod(shape[:axis])), int(np.prod(shape[axis + 1 :]))
        lines = blurred.reshape(before, shape[axis], after)
        out = np.zeros_like(lines)
        for tap, weight in zip(taps.tolist(), kernel.tolist(), strict=True):
            low, high = max(0, -tap), shape[axis] - max(0, tap)
            out[:, low:high] += weight * lines[:, low + tap : high + tap]
        blurred = out.reshape(-1)
    return blurred


def _corners(position: Array, shape: tuple[int, ...]) -> tuple[list[Ints], list[Array]]:
    """The cells around each pixel as flat numbers, and the weight of each in linear interpolation."""
    low = np.floor(position).astype(np.int64)
    share = position - low
    cells, weights = [], []
    for corner in itertools.product((0, 1), repeat=len(shape)):
        up = np.array(corner)[:, None]
        cells.append(np.ravel_multi_index(tuple(low + up), shape))
        weights.append(np.where(up == 1, share, 1 - share).prod(0))
    return cells, weights


def _read(grid: Array, cells: list[Ints], weights: list[Array]) -> Array:
    return sum(
        (weight * grid[cell] for cell, weight in zip(cells, weights, strict=True)),
        start=np.zeros(len(cells[0])),
    )
