"""Forward warp of a picture as a mesh of quads, whose vertices are its pixels.

After MGCDA (Sakaridis et al., TPAMI 2020): each 2 x 2 pixels of the day view span a quad, their places in the dark view
span its image, and a dark pixel takes the bilinear mix of the four. Two things differ from the released code. The
inverse of the bilinear map is exact for parallelograms and vertical sides too, where the released one divides by zero,
so identity and shifts are exact. What is near and what is far is told by the depth that is given, which should be that
in the dark view; the released code takes the day's.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

#: What a dark pixel took its value from.
UNASSIGNED, REGULAR, IRREGULAR = 0, 1, 2
#: A quad whose second longest side is more than this many times its third is cut by an edge of depth (released code).
CUT_RATIO = 5.0
#: A pixel this close to a side, in pixels, lies in the quad: vertices that should meet a pixel miss it by rounding.
SIDE_MARGIN = 1e-6
# Pairs of a quad and a pixel of its bounding box that are looked at together: bounds the memory.
_PAIRS_AT_ONCE = 500_000


class Warped(NamedTuple):
    """A warped picture.

    Attributes:
        values: float64 ``(H, W, K)``; 0 where no quad lies.
        source: uint8 ``(H, W)``: :data:`UNASSIGNED`, :data:`REGULAR` or :data:`IRREGULAR`.
    """

    values: Array
    source: npt.NDArray[np.uint8]


def quad_warp(
    values: npt.ArrayLike,
    places: npt.ArrayLike,
    depth: npt.ArrayLike,
    valid: npt.ArrayLike | None = None,
) -> Warped:
    """Carry a picture to where its pixels go.

    A pixel takes the quad that contains it: a regular one before an irregular one, then the one of the smallest mean
    depth. An irregular quad is torn open at an edge of depth; there the vertices on the far side of the cut count
    alone, because what the near object hid belongs to what is behind it.

    Args:
        values: Picture, ``(H, W, K)``.
        places: Where each pixel goes, x and y in pixels with pixel centres at whole numbers, ``(H, W, 2)``.
        depth: Depth of each pixel, in any unit, ``(H, W)``.
        valid: Which pixels may be vertices, ``(H, W)`` bool. Defaults to None, all of them.

    Returns:
        The picture after the warp, of the same size, and where it comes from.

    Raises:
        ValueError: If the sizes do not fit, or a picture has fewer than 2 x 2 pixels.
    """
    values = np.asarray(values, dtype=np.float64)
    places = np.asarray(places, dtype=np.float64)
    depth = np.asarray(depth, dtype=np.float64)
    height, width = depth.shape
    if (
        values.shape[:2] != depth.shape
        or places.shape != (height, width, 2)
        or min(depth.shape) < 2
    ):
        raise ValueError(
            f'quad_warp got values {values.shape}, places {places.shape}, depth {depth.shape}: '
            'expected (H, W, K), (H, W, 2) and (H, W) of at least 2 x 2 pixels.'
        )
    good = np.isfinite(places).all(-1)
    if valid is not None:
        good &= np.asarray(valid, dtype=bool)
    quads = _quads(height, width)
    quads = quads[good.reshape(-1)[quads].all(1)]
    corners = places.reshape(-1, 2)[quads]  # (N, 4, 2)
    near = depth.reshape(-1)[quads]
    irregular = is_irregular(corners)
    owner = np.full(height * width, -1, dtype=np.int64)
    for kind in (~irregular, irregular):
        _assign(owner, np.flatnonzero(kind), corners, near.mean(1), height, width)
    pixel = np.flatnonzero(owner >= 0)
    quad = owner[pixel]
    points = np.stack([pixel % width, pixel // width], 1).astype(np.float64)
    weights = bilinear_weights(corners[quad], points)
    torn = irregular[quad]
    weights[torn] = far_side_weights(weights[torn], corners[quad[torn]], near[quad[torn]])
    flat = values.reshape(height * width, -1)
    warped = np.zeros_like(flat)
    warped[pixel] = sum(weights[:, i, None] * flat[quads[quad, i]] for i in range(4))
    source = np.full(height * width, UNASSIGNED, dtype=np.uint8)
    source[pixel] = np.where(torn, IRREGULAR, REGULAR)
    return Warped(warped.reshape(values.shape), source.reshape(height, width))


def _quads(height: int, width: int) -> Ints:
    """Pixel numbers of the corners of every 2 x 2 pixels, in turn around the quad, ``(N, 4)``."""
    first = (np.arange(height - 1)[:, None] * width + np.arange(width - 1)).reshape(-1)
    return np.stack([first, first + 1, first + width + 1, first + width], 1)


def side_lengths(corners: Array) -> Array:
    """Length of the sides from each corner to the next, ``(N, 4)``, of quads ``(N, 4, 2)``."""
    return np.linalg.norm(np.roll(corners, -1, axis=1) - corners, axis=-1)


def is_irregular(corners: Array) -> Bools:
    """Whether an edge of depth cuts a quad in two: two sides are far longer than the other two.

    Args:
        corners: ``(N, 4, 2)`` in pixels.

    Returns:
        ``(N,)``: second longest side > :data:`CUT_RATIO` times the third.
    """
    lengths = np.sort(side_lengths(corners), axis=1)
    return lengths[:, 2] > CUT_RATIO * lengths[:, 1]


def _assign(
    owner: Ints, chosen: Ints, corners: Array, depth: Array, height: int, width: int
) -> None:
    """Give each pixel without an owner the nearest of the chosen quads that contain it; in place."""
    corner_x, corner_y = np.ascontiguousarray(corners.transpose(2, 1, 0))
    inside_pixel: list[Ints] = []
    inside_quad: list[Ints] = []
    for quad, pixel in _boxes(chosen, corners, height, width):
        free = owner[pixel] < 0
        quad, pixel = quad[free], pixel[free]
        y, x = np.divmod(pixel, width)
        hit = contains(corner_x[:, quad], corner_y[:, quad], x, y)
        inside_pixel.append(pixel[hit])
        inside_quad.append(quad[hit])
    if not inside_pixel:
        return
    pixel, quad = np.concatenate(inside_pixel), np.concatenate(inside_quad)
    order = np.lexsort((quad, depth[quad], pixel))
    pixel, first = np.unique(pixel[order], return_index=True)
    owner[pixel] = quad[order][first]


def _boxes(chosen: Ints, corners: Array, height: int, width: int) -> Iterator[tuple[Ints, Ints]]:
    """Every pixel in the bounding box of every chosen quad, as quads and pixel numbers, in parts."""
    boxes = corners[chosen]
    limit = np.array([width - 1, height - 1])
    low = np.ceil(np.clip(boxes.min(1) - SIDE_MARGIN, 0, limit + 1)).astype(np.int64)
    high = np.floor(np.clip(boxes.max(1) + SIDE_MARGIN, -1, limit)).astype(np.int64)
    extent = np.maximum(high - low + 1, 0)
    number = extent.prod(1)
    start = 0
    while start < len(chosen):
        total = np.cumsum(number[start:])
        stop = start + max(1, int(np.searchsorted(total, _PAIRS_AT_ONCE, side='right')))
        counts = number[start:stop]
        row = np.repeat(np.arange(start, stop), counts)
        within = np.arange(len(row)) - np.repeat(np.cumsum(counts) - counts, counts)
        y, x = np.divmod(within, np.maximum(extent[row, 0], 1))
        yield chosen[row], (low[row, 1] + y) * width + low[row, 0] + x
        start = stop


def _cross(a: Array, b: Array) -> Array:
    return a[..., 0] * b[..., 1] - a[..., 1] * b[..., 0]


def contains(x: Array, y: Array, points_x: Array, points_y: Array) -> Bools:
    """Whether quads contain points: an odd number of sides is crossed, or a side is closer than a margin.

    Args:
        x: Corners in turn, ``(4, N)``; the quads may be concave or cross themselves.
        y: The same, ``(4, N)``.
        points_x: One point for each quad, ``(N,)``.
        points_y: The same, ``(N,)``.

    Returns:
        ``(N,)``.
    """
    inside = np.zeros(len(points_x), dtype=bool)
    for i in range(4):
        j = (i + 1) % 4
        above, next_above = y[i] > points_y, y[j] > points_y
        turn = (x[j] - x[i]) * (points_y - y[i]) - (y[j] - y[i]) * (points_x - x[i])
        inside ^= (above != next_above) & ((turn > 0) == next_above)
    rest = np.flatnonzero(~inside)
    inside[rest] = _touches(x[:, rest], y[:, rest], points_x[rest], points_y[rest])
    return inside


def _touches(x: Array, y: Array, points_x: Array, points_y: Array) -> Bools:
    """Whether points are within the margin of a side; same arguments as :func:`contains`."""
    near = np.zeros(len(points_x), dtype=bool)
    for i in range(4):
        j = (i + 1) % 4
        side_x, side_y = x[j] - x[i], y[j] - y[i]
        to_x, to_y = points_x - x[i], points_y - y[i]
        square = side_x**2 + side_y**2
        along = (to_x * side_x + to_y * side_y) / np.where(square > 0, square, 1.0)
        along = np.clip(along, 0.0, 1.0)
        near |= (to_x - along * side_x) ** 2 + (to_y - along * side_y) ** 2 <= SIDE_MARGIN**2
    return near


def bilinear_weights(corners: Array, points: Array) -> Array:
    r"""Weights of the four corners at a point in a quad: the inverse of the bilinear map.

    With A, B, C, D the corners in turn, the map is

    .. math:: p = A + u\,(B - A) + v\,(D - A) + u v\,(A - B + C - D)

    Crossing out u leaves a quadratic equation in v. Its roots are taken in the form that stays finite when the
    quadratic coefficient vanishes (parallelograms); then u follows from the projection on the side, whichever way
    that points.

    Args:
        corners: ``(N, 4, 2)``.
        points: One in each quad, ``(N, 2)``.

    Returns:
        ``(N, 4)``, each row in [0, 1] and of sum 1.
    """
    origin = corners[:, 0]
    across, down = corners[:, 1] - origin, corners[:, 3] - origin
    skew = corners[:, 2] - corners[:, 1] - down
    offset = points - origin
    square = _cross(skew, down)
    linear = _cross(offset, skew) - _cross(down, across)
    constant = _cross(offset, across)
    root = np.sqrt(np.maximum(linear**2 - 4 * square * constant, 0.0))
    half = -(linear + np.where(linear < 0, -root, root)) / 2
    best = np.full(len(points), np.inf)
    u_best, v_best = np.zeros(len(points)), np.zeros(len(points))
    for top, bottom in ((constant, half), (half, square)):
        v = np.divide(top, bottom, out=np.full_like(top, np.inf), where=bottom != 0)
        v = np.where(np.abs(v) < 1e9, v, np.inf)
        known = np.isfinite(v)
        v = np.where(known, v, 0.0)
        side = across + v[:, None] * skew
        length = (side**2).sum(1)
        u = ((offset - v[:, None] * down) * side).sum(1) / np.where(length > 0, length, 1.0)
        miss = np.abs(v - np.clip(v, 0, 1)) + np.abs(u - np.clip(u, 0, 1))
        better = known & (miss < best)
        best = np.where(better, miss, best)
        u_best, v_best = np.where(better, u, u_best), np.where(better, v, v_best)
    u, v = np.clip(u_best, 0, 1), np.clip(v_best, 0, 1)
    return np.stack([(1 - u) * (1 - v), u * (1 - v), u * v, (1 - u) * v], 1)


def far_side_weights(weights: Array, corners: Array, depth: Array) -> Array:
    """Keep the weights of the vertices beyond the cut of an irregular quad, and bring their sum to 1.

    The two longest sides are cut. The part that holds the deepest vertex stays.

    Args:
        weights: Bilinear weights ``(N, 4)``.
        corners: ``(N, 4, 2)``.
        depth: Depth of the vertices, ``(N, 4)``.

    Returns:
        ``(N, 4)``; where all that stays has the weight 0, the deepest vertex has 1.
    """
    lengths = side_lengths(corners)
    joined = lengths < np.sort(lengths, axis=1)[:, 2:3]  # does a side hold its two ends together?
    deepest = np.argmax(depth, axis=1)
    rows = np.arange(len(weights))
    kept = np.zeros(weights.shape, dtype=bool)
    kept[rows, deepest] = True
    for _ in range(3):  # each round goes one side further, either way
        ahead = np.roll(kept & joined, 1, axis=1)
        back = np.roll(kept, -1, axis=1) & joined
        kept |= ahead | back
    weights = np.where(kept, weights, 0.0)
    total = weights.sum(1, keepdims=True)
    alone = np.zeros_like(weights)
    alone[rows, deepest] = 1.0
    return np.where(total > 0, weights / np.where(total > 0, total, 1.0), alone)
