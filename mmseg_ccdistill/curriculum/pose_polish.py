"""A pose made better on its inliers: least squares of the distance to the epipolar geometry (ours).

A pose from five points fits these five; the other inliers are only near. Hartley and Zisserman, Multiple View Geometry,
11.4.3, call the distance Sampson's.
"""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]

_STEPS, _DELTA = 10, 1e-6


def sampson_distance(
    rotation: Array, direction: Array, day: Array, dark: Array, camera: Array
) -> Array:
    r"""Signed distance of matches to the epipolar geometry in pixels, to first order, ``(N,)``.

    .. math:: e_i = x'^T F x / \sqrt{(Fx)_1^2 + (Fx)_2^2 + (F^T x')_1^2 + (F^T x')_2^2},
        \qquad F = K^{-T} [t]_\times R K^{-1}

    Args:
        rotation: R, ``(3, 3)``.
        direction: t, ``(3,)``.
        day: x in pixels, ``(N, 2)``.
        dark: x' in pixels, ``(N, 2)``.
        camera: K, ``(3, 3)``.
    """
    inverse = np.linalg.inv(camera)
    matrix = inverse.T @ np.cross(direction, rotation, axisb=0, axisc=0) @ inverse
    one = np.ones((len(day), 1))
    first, second = np.hstack([day, one]), np.hstack([dark, one])
    lines, back = first @ matrix.T, second @ matrix
    slope = (lines[:, :2] ** 2).sum(1) + (back[:, :2] ** 2).sum(1)
    return (second * lines).sum(1) / np.sqrt(np.maximum(slope, np.finfo(float).tiny))


def polish(
    rotation: Array, direction: Array, day: Array, dark: Array, camera: Array
) -> tuple[Array, Array]:
    """Improve a pose by Gauss-Newton steps on :func:`sampson_distance`, as long as they help.

    Args:
        rotation: R, ``(3, 3)``.
        direction: t of length 1, ``(3,)``.
        day: Places of the inliers in the day image in pixels, ``(N, 2)``.
        dark: Places in the dark image, ``(N, 2)``.
        camera: K, ``(3, 3)``.

    Returns:
        R and t, of length 1.
    """
    here = sampson_distance(rotation, direction, day, dark, camera)
    for _ in range(_STEPS):
        columns = []
        for number in range(5):
            moved = _moved(rotation, direction, _DELTA * np.eye(5)[number])
            columns.append((sampson_distance(*moved, day, dark, camera) - here) / _DELTA)
        step: Array = np.linalg.lstsq(np.stack(columns, 1), -here, rcond=1e-9)[0].astype(np.float64)
        moved = _moved(rotation, direction, step)
        there = sampson_distance(*moved, day, dark, camera)
        if not there @ there < here @ here:
            break
        (rotation, direction), here = moved, there
    return rotation, direction


def _moved(rotation: Array, direction: Array, step: Array) -> tuple[Array, Array]:
    """Turn R by three numbers and t, on its sphere, by two."""
    turn = cv2.Rodrigues(step[:3])[0]
    sides = np.linalg.svd(direction[None])[2][1:]
    moved = direction + step[3:] @ sides
    return turn @ rotation, moved / np.linalg.norm(moved)
