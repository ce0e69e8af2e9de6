"""A plane in place of depth: where the day image goes if all of it lies on one plane."""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from .camera import Seen, pixel_grid

Array = npt.NDArray[np.float64]

#: Fewest inliers of a homography, and fewest inliers in the matches (ours).
MIN_INLIERS, MIN_INLIER_SHARE = 30, 0.2
#: Most distance of an inlier to its place in pixels (ours).
REPROJECTION_DISTANCE = 4.0


class Plane(NamedTuple):
    """A homography.

    Attributes:
        matrix: From places in the day image to places in the dark one, float64 ``(3, 3)``.
        inliers: Number of matches that agree.
        fault: Why it is of no use, or None.
    """

    matrix: Array
    inliers: int
    fault: str | None


def find_homography(day: Array, dark: Array) -> Plane:
    """Homography from common points.

    Args:
        day: Places in the day image in pixels, ``(N, 2)``.
        dark: Places of the same points in the dark image, ``(N, 2)``.

    Returns:
        The homography; with a ``fault`` if too few points agree. The same points give the same result.
    """
    if len(day) < MIN_INLIERS:
        return Plane(np.eye(3), 0, f'fewer than {MIN_INLIERS} matches')
    cv2.setRNGSeed(0)
    matrix, mask = cv2.findHomography(day, dark, cv2.RANSAC, REPROJECTION_DISTANCE)
    inliers = 0 if matrix is None else int(mask.sum())
    if inliers < MIN_INLIERS or inliers < MIN_INLIER_SHARE * len(day):
        fault = f'fewer than {MIN_INLIERS} inliers or {MIN_INLIER_SHARE:.0%} of the matches'
        return Plane(np.eye(3), inliers, fault)
    return Plane(matrix, inliers, None)


def see_plane(matrix: Array, size: tuple[int, int]) -> Seen:
    """Where a homography brings the pixels of a picture.

    Args:
        matrix: ``(3, 3)``, between pictures of this size.
        size: Height and width.

    Returns:
        Places; as depth the third coordinate, which tells before from behind.
    """
    moved = pixel_grid(size) @ (matrix / matrix[2, 2]).T
    ahead = moved[..., 2] > 1e-6
    places = moved[..., :2] / np.where(ahead, moved[..., 2], 1.0)[..., None]
    return Seen(places, moved[..., 2], ahead)
