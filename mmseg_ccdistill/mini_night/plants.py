"""Trees, bushes and hedges."""

from __future__ import annotations

import math

from .geometry import (
    HEDGE,
    LEAF,
    ROUND,
    Mesh,
    Point,
)
from .shapes import Rng, disc_footprint, pick
from .world import (
    VEGETATION,
    Color,
    World,
    jitter_color,
)


def tree(mesh: Mesh, world: World, rng: Rng, x: float, z: float, height: float) -> None:
    """A trunk and a crown of leafy blobs, all labelled vegetation."""
    color = pick(rng, world.foliage, 12.0)
    trunk, width = 0.36 * height, 0.045 * height
    bark = jitter_color((84, 70, 56), rng, 8.0)
    quad = [
        (x - width, 0.0, z),
        (x + width, 0.0, z),
        (x + 0.6 * width, trunk * 1.5, z),
        (x - 0.6 * width, trunk * 1.5, z),
    ]
    mesh.add(quad, VEGETATION, bark, key=z, kind=ROUND, params=(width,), origin=(x, 0.0, z))
    span = 0.3 * height
    blobs = [(0.0, 0.66 * height, span)]
    for _ in range(int(rng.integers(3, 6))):
        angle, reach = rng.uniform(0, 2 * math.pi), rng.uniform(0.4, 0.8) * span
        radius = rng.uniform(0.5, 0.75) * span
        blobs.append(
            (reach * math.cos(angle), 0.68 * height + 0.85 * reach * math.sin(angle), radius)
        )
    for i, (dx, y, radius) in enumerate(blobs):
        blob(
            mesh,
            rng,
            (x + dx, max(y, radius + 0.4), z),
            radius,
            jitter_color(color, rng, 7.0),
            z - 0.02 * i,
        )
    mesh.casters.append((disc_footprint(x, z, 0.9 * span), height * 0.8, False))


def blob(mesh: Mesh, rng: Rng, center: Point, radius: float, color: Color, key: float) -> None:
    """A round leafy mass, shaded as a sphere, with a ragged edge."""
    corners = 26
    reach = (radius * rng.uniform(0.82, 1.06, corners)).tolist()
    edge = [
        (
            center[0] + r * math.cos(i * 2 * math.pi / corners),
            center[1] + r * math.sin(i * 2 * math.pi / corners),
            center[2],
        )
        for i, r in enumerate(reach)
    ]
    mesh.add(edge, VEGETATION, color, key=key, kind=LEAF, params=(radius,), origin=center)


def hedge(mesh: Mesh, a: Point, b: Point, height: float, color: Color, key: float) -> None:
    """A clipped hedge from ``a`` to ``b``."""
    quad = [a, b, (b[0], height, b[2]), (a[0], height, a[2])]
    mesh.add(quad, VEGETATION, color, key=key, kind=HEDGE)
