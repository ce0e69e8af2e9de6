"""The pinhole camera of a pair: its intrinsics, and where a pixel of the day view is in the dark one.

Pixel centres are whole numbers and the first is 0, as in OpenCV. MGCDA's released code counts from 1 with the principal
point in the middle (W/2, H/2), which is half a pixel off.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from ..errors import UserInputError

Array = npt.NDArray[np.float64]

#: Horizontal field of view of Dark Zurich's camera in degrees (MGCDA's code).
DARK_ZURICH_VIEW = 64.4
#: A point nearer to the dark camera than this, in metres, has no place in its picture (MGCDA's code).
MIN_DEPTH = 0.1


class Seen(NamedTuple):
    """Where the pixels of the day view are in the dark view.

    Attributes:
        places: x and y in pixels, float64 ``(H, W, 2)``; of no meaning where not ``ahead``.
        depth: Along the optical axis of the dark camera in metres, float64 ``(H, W)``.
        ahead: Whether it is at least :data:`MIN_DEPTH` before the camera, bool ``(H, W)``.
    """

    places: Array
    depth: Array
    ahead: npt.NDArray[np.bool_]


def focal_length(width: int, field_of_view: float = DARK_ZURICH_VIEW) -> float:
    r""":math:`f = W / (2 \tan(\theta / 2))` in pixels.

    Args:
        width: W in pixels.
        field_of_view: Horizontal, in degrees.

    Raises:
        UserInputError: If the field of view is not between 0 and 180 degrees.
    """
    if not 0 < field_of_view < 180:
        raise UserInputError(
            f'field_of_view is {field_of_view}: expected the horizontal field of view of the camera in degrees, '
            'between 0 and 180.'
        )
    return width / (2 * math.tan(math.radians(field_of_view) / 2))


def intrinsics(size: tuple[int, int], field_of_view: float = DARK_ZURICH_VIEW) -> Array:
    """Intrinsic matrix of a camera with square pixels that looks through the middle of its picture.

    Args:
        size: Height and width in pixels.
        field_of_view: Horizontal, in degrees.

    Returns:
        float64 ``(3, 3)``.
    """
    height, width = size
    f = focal_length(width, field_of_view)
    return np.array([[f, 0, (width - 1) / 2], [0, f, (height - 1) / 2], [0, 0, 1]])


def resizing(size: tuple[int, int], new_size: tuple[int, int]) -> Array:
    """What resizing does to places: x' = (x + 1/2) W'/W - 1/2, as a matrix ``(3, 3)``.

    Args:
        size: Height and width.
        new_size: Height and width after it.
    """
    y, x = (new / old for new, old in zip(new_size, size, strict=True))
    return np.array([[x, 0, x / 2 - 0.5], [0, y, y / 2 - 0.5], [0, 0, 1]])


def pixel_grid(size: tuple[int, int]) -> Array:
    """Homogeneous places (x, y, 1) of all pixels, ``(H, W, 3)``."""
    y, x = np.mgrid[: size[0], : size[1]].astype(np.float64)
    return np.stack([x, y, np.ones_like(x)], -1)


def see_from(depth: npt.ArrayLike, camera: Array, rotation: Array, translation: Array) -> Seen:
    r"""Move the camera: :math:`X' = R\, d\, K^{-1} (x, y, 1)^T + t`, seen at :math:`K X' / X'_3`.

    Args:
        depth: d of each pixel in metres, ``(H, W)``.
        camera: K of both views, ``(3, 3)``.
        rotation: R, ``(3, 3)``.
        translation: t in metres, ``(3,)``.
    """
    depth = np.asarray(depth, dtype=np.float64)
    points = depth[..., None] * (
        pixel_grid((depth.shape[0], depth.shape[1])) @ np.linalg.inv(camera).T
    )
    moved = points @ np.asarray(rotation).T + np.asarray(translation)
    ahead = moved[..., 2] >= MIN_DEPTH
    flat = moved @ camera.T
    places = flat[..., :2] / np.where(ahead, flat[..., 2], 1.0)[..., None]
    return Seen(places, moved[..., 2], ahead)


def rotation_degrees(rotation: npt.ArrayLike) -> float:
    """Angle of a rotation matrix in degrees, 0 to 180."""
    matrix = np.asarray(rotation, dtype=np.float64)
    axis = [matrix[2, 1] - matrix[1, 2], matrix[0, 2] - matrix[2, 0], matrix[1, 0] - matrix[0, 1]]
    return math.degrees(math.atan2(float(np.linalg.norm(axis)), float(np.trace(matrix)) - 1))
