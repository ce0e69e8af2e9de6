"""Reflections on a wet road: every bright pixel, mirrored at the ground where it truly appears."""

from __future__ import annotations

import cv2
import numpy as np

from .geometry import GROUND_ID, SKY_ID, Camera, GBuffer
from .texture import F32
from .world import FloatArray

#: Radiance above which a pixel shows as a reflection.
BRIGHT = 0.25


def add_reflections(image: FloatArray, g: GBuffer, camera: Camera, wet: float) -> FloatArray:
    """Add what a wet ground mirrors.

    A point (x, y, z) shows in the plane y = 0 where (x, -y, z) would be seen. Waves smear it along the line of
    sight. The share that is mirrored follows Schlick's law, 0.03 + 0.97 (1 - cos)**5.

    Args:
        image: Linear radiance (H, W, 3).
        g: Geometry of its pixels.
        camera: The view.
        wet: Water on the ground, 0 to 1.

    Returns:
        The radiance with reflections on ground pixels.
    """
    if wet <= 0:
        return image
    flat = image.reshape(-1, 3)
    bright = np.flatnonzero((flat.max(1) > BRIGHT) & (g.ids > GROUND_ID) & (g.ids != SKY_ID))
    height, width = image.shape[:2]
    seen = g.position[:, bright].astype(np.float64)
    mirrored = seen * np.array([[1.0], [-1.0], [1.0]]) - [[camera.x], [camera.y], [camera.z]]
    right, down, ahead = camera.rotation() @ mirrored
    column = np.floor((right / ahead * camera.focal + width / 2) / 2).astype(np.int64)
    row = np.floor((down / ahead * camera.focal + height / 2) / 2).astype(np.int64)
    rows, columns = height // 2, width // 2
    inside = (column >= 0) & (column < columns) & (row >= 0) & (row < rows)
    cells = row[inside] * columns + column[inside]
    light = np.minimum(flat[bright[inside]], F32(30.0)) / 4  # four pixels in a cell
    small = np.stack(
        [np.bincount(cells, light[:, c], rows * columns).reshape(rows, columns) for c in range(3)],
        axis=-1,
    ).astype(F32)
    sharp = cv2.GaussianBlur(small, (0, 0), sigmaX=0.8, sigmaY=height / 90)
    smeared = cv2.GaussianBlur(small, (0, 0), sigmaX=width / 400, sigmaY=height / 22)
    full = cv2.resize(sharp * F32(0.4) + smeared, (width, height), interpolation=cv2.INTER_LINEAR)
    ray = g.position - np.array([[camera.x], [camera.y], [camera.z]], F32)
    cosine = np.abs(ray[1]) / np.sqrt((ray**2).sum(0))
    share = F32(0.03) + F32(0.97) * (F32(1.0) - cosine) ** 5
    share *= F32(wet) * (g.ids == GROUND_ID)
    return image + full * share.reshape(height, width, 1)
