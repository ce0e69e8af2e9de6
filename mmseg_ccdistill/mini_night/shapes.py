"""Helpers that every builder of objects uses: colours, local frames, discs and boards."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from .geometry import (
    Mesh,
    Point,
)
from .world import (
    Color,
    jitter_color,
    to_linear,
)

Rng = np.random.Generator


def pick(rng: Rng, colors: tuple[Color, ...], amount: float = 8.0) -> Color:
    """Draw a palette entry and jitter it."""
    return jitter_color(colors[int(rng.integers(len(colors)))], rng, amount)


def shade(color: Color, factor: float) -> Color:
    """Scale an sRGB colour, clipped to 0..255."""
    return (
        min(color[0] * factor, 255.0),
        min(color[1] * factor, 255.0),
        min(color[2] * factor, 255.0),
    )


def emission(color: Color, strength: float) -> Color:
    """Linear radiance of a lamp of an sRGB colour."""
    r, g, b = (to_linear(color) * strength).tolist()
    return r, g, b


@dataclass
class Frame:
    """Local frame of an object on the ground: origin, heading (0 is +z, positive right), scale."""

    x: float
    z: float
    heading: float = 0.0
    scale: float = 1.0

    def __call__(self, side: float, y: float, ahead: float) -> Point:
        """World point of local coordinates (to the right, up, ahead)."""
        c, s = math.cos(self.heading), math.sin(self.heading)
        side, ahead = side * self.scale, ahead * self.scale
        return self.x + side * c + ahead * s, y * self.scale, self.z - side * s + ahead * c


def disc(
    center: Point, radius: float, axis: tuple[float, float] = (1.0, 0.0), corners: int = 12
) -> list[Point]:
    """Corners of a vertical disc that spans the horizontal direction ``axis`` (x, z) and up."""
    angles = [2 * math.pi * i / corners for i in range(corners)]
    return [
        (
            center[0] + radius * math.cos(a) * axis[0],
            center[1] + radius * math.sin(a),
            center[2] + radius * math.cos(a) * axis[1],
        )
        for a in angles
    ]


def board(
    mesh: Mesh,
    points: list[tuple[float, float]],
    f: Frame,
    label: int,
    color: Color,
    key: float,
    **kw: Any,
) -> None:
    """Add a polygon given in (side, up) coordinates on the plane across the frame's heading."""
    mesh.add([f(s, y, 0.0) for s, y in points], label, color, key=key, **kw)


def disc_footprint(x: float, z: float, radius: float) -> list[tuple[float, float]]:
    """Octagon on the ground as (x, z) corners."""
    return [
        (x + radius * math.cos(i * math.pi / 4), z + radius * math.sin(i * math.pi / 4))
        for i in range(8)
    ]
