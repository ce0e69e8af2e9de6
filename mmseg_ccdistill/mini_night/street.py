"""A street: its cross-section, its bend, and the mesh of all that does not move."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from .geometry import (
    Mesh,
    Point,
)
from .world import (
    ROAD,
    SIDEWALK,
    TERRAIN,
    Color,
    World,
)

LENGTH = 130.0


@dataclass
class Side:
    """One side of the street: widths in m of what follows the kerb outwards, and its lots.

    Attributes:
        sign: -1 left, 1 right.
        verge: Grass strip.
        pavement: Pavement.
        garden: Front gardens before the building line.
        lots: Begin, end and kind of each: 0 house, 1 wall, 2 fence, 3 park, 4 cross street.
    """

    sign: float
    verge: float
    pavement: float
    garden: float
    lots: list[tuple[float, float, int]] = field(default_factory=list)


@dataclass
class Street:
    """A street: cross-section and everything in it that does not move.

    Attributes:
        bend: Curvature in 1/m; the street's axis is x = bend * z**2 / 2.
        half: Half width of the carriageway.
        lane: Lateral offset of the lane centre from the axis.
        parking: Parking strips (left, right) inside the carriageway.
        tracks: Lateral offsets of tram tracks.
        crossing: Distance of a zebra crossing, or a negative number.
        seed: Seed of the ground texture.
    """

    world: World
    bend: float
    half: float
    lane: float
    parking: tuple[bool, bool]
    tracks: tuple[float, ...]
    crossing: float
    seed: int
    wet: float
    sides: tuple[Side, Side]
    mesh: Mesh = field(default_factory=Mesh)
    furniture: list[tuple[float, float]] = field(default_factory=list)

    def x(self, t: float, z: float) -> float:
        """World x of lateral offset ``t`` at distance ``z``."""
        return t + 0.5 * self.bend * max(z, 0.0) ** 2

    def heading(self, z: float) -> float:
        """Direction of the street at distance ``z``, radians from +z."""
        return float(np.arctan(self.bend * max(z, 0.0)))

    def at(self, t: float, y: float, z: float) -> Point:
        """World point of street coordinates."""
        return self.x(t, z), y, z


def ground_zones(street: Street) -> tuple[list[float], list[int], list[int]]:
    """Cross-section of the ground from left to right.

    Returns:
        Lateral boundaries (m, ascending, n), train ids (n + 1) of the zones between them, and
        texture codes (n + 1): 0 carriageway, 1 pavement, 2 grass, 3 lot.
    """
    left, right = street.sides
    edges: list[float] = []
    labels: list[int] = []
    codes: list[int] = []
    for side, order in ((left, -1), (right, 1)):
        parts = [(side.verge, TERRAIN, 2), (side.pavement, SIDEWALK, 1), (side.garden, TERRAIN, 2)]
        parts = [p for p in parts if p[0] > 0]
        offsets = street.half + np.cumsum([0.0] + [p[0] for p in parts])
        zone = [p[1:] for p in parts] + [(255, 3)]
        if order < 0:
            edges += [-float(o) for o in offsets[::-1]]
            labels += [z[0] for z in zone[::-1]] + [ROAD]
            codes += [z[1] for z in zone[::-1]] + [0]
        else:
            edges += [float(o) for o in offsets]
            labels += [z[0] for z in zone]
            codes += [z[1] for z in zone]
    return edges, labels, codes


LOT_GROUND: tuple[tuple[int, int, Color | None], ...] = (
    (SIDEWALK, 1, None),
    (TERRAIN, 2, None),
    (TERRAIN, 2, None),
    (TERRAIN, 2, None),
    (ROAD, 0, None),
)
