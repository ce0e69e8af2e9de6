"""A street of textured planes: depth, labels, pictures by day and in the dark from any camera, all by ray casting."""

from __future__ import annotations

from functools import cache
from typing import NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]

SIZE = (180, 240)
#: Horizontal field of view in degrees.
FIELD_OF_VIEW = 70.0
ROAD, BUILDING, CAR, SKY = 0, 1, 2, 3


class Plane(NamedTuple):
    """Points X with normal . X = distance, where ``low <= X <= high``."""

    normal: tuple[float, float, float]
    distance: float
    low: tuple[float, float, float]
    high: tuple[float, float, float]
    label: int


PLANES = (
    Plane((0, 1, 0), 1.6, (-40, 0, 0), (40, 2, 60), ROAD),
    Plane((1, 0, 0), -5.0, (-9, -5, 0), (0, 1.6, 60), BUILDING),
    Plane((1, 0, 0), 5.0, (0, -3, 0), (9, 1.6, 60), BUILDING),
    Plane((0, 0, 1), 30.0, (-5, -4, 0), (5, 1.6, 60), BUILDING),
    Plane((0, 0, 1), 9.0, (0.8, 0.2, 0), (2.6, 1.6, 60), CAR),
)


class Picture(NamedTuple):
    image: npt.NDArray[np.uint8]
    depth: Array
    label: npt.NDArray[np.int64]


def look(camera: Array, turn: Array, step: Array, light: float = 1.0) -> Picture:
    """What a camera sees whose coordinates are X' = turn X + step."""
    y, x = np.mgrid[: SIZE[0], : SIZE[1]]
    rays = np.stack([x, y, np.ones_like(x)], -1) @ np.linalg.inv(camera).T @ turn
    eye = -turn.T @ step
    depth, label = np.full(SIZE, np.inf), np.full(SIZE, SKY)
    grey = np.full(SIZE, 200.0)
    for number, plane in enumerate(PLANES):
        normal = np.array(plane.normal)
        with np.errstate(divide='ignore', invalid='ignore'):
            far = (plane.distance - eye @ normal) / (rays @ normal)
            point = eye + far[..., None] * rays
            inside = (
                (point >= np.array(plane.low) - 1e-9) & (point <= np.array(plane.high) + 1e-9)
            ).all(-1)
        seen = inside & (far > 0.1) & (far < depth)
        depth[seen], label[seen] = far[seen], plane.label
        across = [axis for axis in range(3) if plane.normal[axis] == 0]
        grey[seen] = _texture(number, *point[seen][:, across].T)
    image = np.clip(grey * light, 0, 255).astype(np.uint8)
    return Picture(cv2.cvtColor(image, cv2.COLOR_GRAY2BGR), np.minimum(depth, 540.0), label)


@cache
def _noise(seed: int) -> Array:
    """Smooth noise, 0 to 255, with details of 10 and 40 cm at 2.5 cm a pixel."""
    noise = np.random.RandomState(seed).random_sample((1024, 1024))
    blurred = [cv2.GaussianBlur(noise, (0, 0), spread) for spread in (4, 16)]
    fine, coarse = ((layer - layer.mean()) / layer.std() for layer in blurred)
    return np.clip(128 + 25 * fine + 35 * coarse, 0, 255)


def _texture(seed: int, a: Array, b: Array) -> Array:
    column, row = (np.floor(c * 40).astype(int) % 1024 for c in (a, b))
    return _noise(seed)[row, column]
