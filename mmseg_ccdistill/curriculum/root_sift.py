"""Points that two images have in common: RootSIFT descriptors, mutual nearest neighbours, Lowe's ratio.

Lowe, IJCV 2004; Arandjelovic and Zisserman, CVPR 2012. MGCDA matches precomputed SURF features with the same rules;
SURF is not part of OpenCV's usual builds. Evening out the contrast first is ours: SIFT drops what has little contrast,
which at night is nearly everything.
"""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]

#: Squared distances of the nearest and the second neighbour are at most in this ratio (MGCDA's code).
SQUARED_RATIO = 0.7
#: Most features of an image, the strongest ones: bounds the memory of the matching.
MAX_FEATURES = 8000
# Contrast-limited histogram equalization in 8 x 8 tiles (Zuiderveld, Graphics Gems IV, 1994); the limit is ours.
_CONTRAST_LIMIT, _TILES = 4.0, (8, 8)
# Rows of the table of distances that are looked at together.
_ROWS = 1024


class Features(NamedTuple):
    """Features of an image.

    Attributes:
        points: x and y in pixels, centres at whole numbers, float64 ``(N, 2)``.
        descriptors: Of length 1, float32 ``(N, 128)``.
    """

    points: Array
    descriptors: npt.NDArray[np.float32]


def root_sift(image: npt.NDArray[np.uint8], equalize: bool = True) -> Features:
    """Find the features of an image.

    Args:
        image: uint8 BGR ``(H, W, 3)``.
        equalize: Whether the contrast is evened out first. Defaults to True.

    Returns:
        At most :data:`MAX_FEATURES`; of a dark or plain image maybe none.
    """
    grey = cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)
    if equalize:
        grey = cv2.createCLAHE(_CONTRAST_LIMIT, _TILES).apply(grey)
    points, descriptors = cv2.SIFT.create(nfeatures=MAX_FEATURES).detectAndCompute(grey, None)
    if descriptors is None:
        return Features(np.zeros((0, 2)), np.zeros((0, 128), np.float32))
    places = np.array([point.pt for point in points], dtype=np.float64)
    return Features(places, root(descriptors))


def root(descriptors: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Square root of descriptors of sum 1: their distances compare histograms by Hellinger's measure."""
    total = descriptors.sum(1, keepdims=True)
    return np.sqrt(descriptors / np.where(total > 0, total, 1)).astype(np.float32)


def mutual_matches(
    first: npt.NDArray[np.floating],
    second: npt.NDArray[np.floating],
    squared_ratio: float = SQUARED_RATIO,
    spread: float | None = None,
) -> npt.NDArray[np.int64]:
    """Match descriptors of length 1: each is the nearest of the other, and clearly nearer than the second.

    Args:
        first: ``(N, D)``.
        second: ``(M, D)``.
        squared_ratio: Most squared distance of a match, in that to the second neighbour of ``first``.
        spread: Most squared distance of a match, in the smallest of all. MGCDA's code has 20, made for SURF; of
            RootSIFT it throws most good matches away. Defaults to None, no such rule.

    Returns:
        Positions in ``first`` and in ``second``, ``(matches, 2)``, rising by the first.
    """
    if len(first) < 2 or len(second) < 2:
        return np.zeros((0, 2), dtype=np.int64)
    nearest = np.zeros(len(first), dtype=np.int64)
    square = np.zeros(len(first))
    clear = np.zeros(len(first), dtype=bool)
    back, back_square = np.zeros(len(second), dtype=np.int64), np.full(len(second), np.inf)
    for start in range(0, len(first), _ROWS):
        part = slice(start, min(start + _ROWS, len(first)))
        table = np.maximum(2 - 2 * (first[part] @ second.T), 0)
        two = np.partition(table, 1, axis=1)[:, :2]
        nearest[part], square[part] = table.argmin(1), two[:, 0]
        clear[part] = two[:, 0] <= squared_ratio * two[:, 1]
        lowest = table.argmin(0)
        least = np.take_along_axis(table, lowest[None], 0)[0]
        closer = least < back_square
        back[closer], back_square[closer] = start + lowest[closer], least[closer]
    kept = clear & (back[nearest] == np.arange(len(first)))
    if spread is not None and kept.any():
        kept &= square <= spread * square[kept].min()
    rows = np.flatnonzero(kept)
    return np.stack([rows, nearest[rows]], 1)


def common_points(
    day: npt.NDArray[np.uint8], dark: npt.NDArray[np.uint8], equalize: bool = True
) -> tuple[Array, Array]:
    """Places of the same points in two images.

    Args:
        day: uint8 BGR ``(H, W, 3)``.
        dark: The same.
        equalize: As in :func:`root_sift`. Defaults to True.

    Returns:
        Places in the day image and in the dark one, float64 ``(matches, 2)`` each.
    """
    of_dark, of_day = root_sift(dark, equalize), root_sift(day, equalize)
    matches = mutual_matches(of_dark.descriptors, of_day.descriptors)
    return of_day.points[matches[:, 1]], of_dark.points[matches[:, 0]]
