"""What moves: the vehicles, two-wheelers and pedestrians of one moment in a street."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from . import cars, figures, vehicles
from .geometry import Mesh
from .shapes import Rng
from .street import Street

Slot = tuple[float, float, float]


def add_traffic(street: Street, seed: int, night: bool) -> Mesh:
    """Return a copy of the street's mesh with the traffic of moment ``seed`` in it.

    Args:
        street: The static street.
        seed: Seed of the moment; other moments differ in every moving thing, parked vehicles
        included.
        night: Whether lamps are on (a few people fewer, too).

    Returns:
        The mesh to render.
    """
    static = street.mesh
    mesh = replace(
        static,
        points=list(static.points),
        counts=list(static.counts),
        rows=list(static.rows),
        lights=list(static.lights),
        casters=list(static.casters),
    )
    rng = np.random.default_rng([street.world.seed, ord(street.world.name), street.seed, seed, 2])
    taken: list[Slot] = []
    _lanes(street, mesh, rng, night, taken)
    _parked(street, mesh, rng, taken)
    _two_wheelers(street, mesh, rng, night, taken)
    _people(street, mesh, rng, taken)
    return mesh


def _free(taken: list[Slot], t: float, z: float, radius: float) -> bool:
    if any(abs(t - a) < 0.8 + radius * 0.3 and abs(z - b) < r + radius for a, b, r in taken):
        return False
    taken.append((t, z, radius))
    return True


def _vehicle(
    street: Street, mesh: Mesh, rng: Rng, t: float, z: float, kind: str, coming: bool, night: bool
) -> None:
    x, turn = street.x(t, z), street.heading(z) + rng.normal(0, 0.02)
    heading = turn + (math.pi if coming else 0.0)
    if kind == 'truck':
        vehicles.truck(mesh, rng, x, z, heading, lights=night)
    elif kind == 'bus':
        vehicles.bus(mesh, street.world, rng, x, z, heading, lights=night)
    elif kind == 'tram':
        vehicles.tram(mesh, street.world, rng, x, z, heading, lights=night)
    else:
        cars.car(mesh, rng, x, z, heading, lights=night, braking=bool(rng.random() < 0.4))


def _lanes(street: Street, mesh: Mesh, rng: Rng, night: bool, taken: list[Slot]) -> None:
    """Vehicles that drive: ahead, towards the camera, and trams on the tracks."""
    width = {'car': 2.6, 'truck': 4.2, 'bus': 6.2, 'tram': 11.6}
    strip = 2.1
    other = -(
        street.half
        - strip * street.parking[0]
        - (street.half - strip * street.parking[1] - street.lane)
    )
    blocked: tuple[float, float] | None = None
    if (street.tracks and rng.random() < 0.75) or rng.random() < 0.12:
        t = street.tracks[int(rng.integers(len(street.tracks)))] if street.tracks else -0.6
        coming = t < 0
        z = float(rng.uniform(24, 50)) if abs(t - street.lane) < 2.4 else float(rng.uniform(18, 44))
        _vehicle(street, mesh, rng, t, z, 'tram', coming, night)
        taken.append((t, z, width['tram']))
        blocked = (t, z)
    for lane, coming in ((street.lane, False), (other, True)):
        z = float(rng.uniform(8, 26)) if coming else float(rng.uniform(11, 34))
        while z < 110:
            kind = str(rng.choice(['car', 'truck', 'bus'], p=[0.64, 0.2, 0.16]))
            near = (
                blocked is not None
                and abs(blocked[0] - lane) < 2.6
                and abs(blocked[1] - z) < width['tram'] + width[kind] + 1
            )
            z += width[kind]
            if not near:
                _vehicle(street, mesh, rng, lane + rng.normal(0, 0.12), z, kind, coming, night)
                taken.append((lane, z, width[kind]))
            z += width[kind] + float(rng.gamma(2.0, 9.0)) + 3.0
    for side in street.sides:  # a vehicle waits in a cross street
        for a, b, kind_of_lot in side.lots:
            if kind_of_lot == 4 and a > 6 and rng.random() < 0.6:
                t = side.sign * (street.half + side.verge + side.pavement + rng.uniform(1, 5))
                z = (a + b) / 2
                cars.car(mesh, rng, street.x(t, z), z, -side.sign * math.pi / 2, lights=night)


def _parked(street: Street, mesh: Mesh, rng: Rng, taken: list[Slot]) -> None:
    for i, side in enumerate(street.sides):
        if not street.parking[i]:
            continue
        t, z = side.sign * (street.half - 1.05), float(rng.uniform(4, 10))
        while z < 80:
            if rng.random() < 0.72 and _free(taken, t, z, 2.4):
                heading = street.heading(z) + (
                    math.pi if side.sign < 0 or rng.random() < 0.1 else 0.0
                )
                if rng.random() < 0.1:
                    vehicles.truck(mesh, rng, street.x(t, z + 1.8), z + 1.8, heading, lights=False)
                    z += 3.6
                else:
                    cars.car(mesh, rng, street.x(t, z), z, heading, lights=False)
            z += float(rng.uniform(5.2, 6.6))


def _two_wheelers(street: Street, mesh: Mesh, rng: Rng, night: bool, taken: list[Slot]) -> None:
    world = street.world
    for _ in range(int(rng.integers(1, 5))):  # ridden, at the edge of the carriageway
        coming = bool(rng.random() < 0.4)
        edge = street.half - (2.3 if street.parking[0 if coming else 1] else 0.7)
        t, z = (-edge if coming else edge) + rng.normal(0, 0.15), float(rng.uniform(6.5, 26))
        if not _free(taken, t, z, 1.4):
            continue
        turn = rng.uniform(0.45, 1.1) * (1 if rng.random() < 0.5 else -1)
        heading = street.heading(z) + (math.pi + turn if coming else turn)
        motor = bool(rng.random() < 0.4)
        figures.two_wheeler(mesh, world, rng, street.x(t, z), z, heading, motor, True, lit=night)
    for side in street.sides:  # parked along the kerb
        if rng.random() < 0.6:
            z = float(rng.uniform(5.5, 20))
            motor = bool(rng.random() < 0.5)
            for _ in range(int(rng.integers(1, 5))):
                t = side.sign * (street.half + 0.75)
                clear = all(abs(t - a) > 0.8 or abs(z - b) > 0.8 for a, b in street.furniture)
                if clear and _free(taken, t, z, 0.3):
                    figures.two_wheeler(
                        mesh, world, rng, street.x(t, z), z, rng.uniform(0.9, 2.2), motor, False
                    )
                z += rng.uniform(0.8, 1.4)


def _people(street: Street, mesh: Mesh, rng: Rng, taken: list[Slot]) -> None:
    for side in street.sides:
        for _ in range(int(rng.integers(2, 8))):
            z = float(rng.uniform(5.5, 14) if rng.random() < 0.4 else rng.uniform(12, 55))
            t = side.sign * (street.half + side.verge + rng.uniform(0.4, side.pavement - 0.3))
            for n in range(1 if rng.random() < 0.65 else 2):
                if _free(taken, t, z, 0.3):
                    height = 1.2 if rng.random() < 0.08 else float(rng.normal(1.74, 0.08))
                    figures.person(mesh, rng, street.x(t, z), z, height=height)
                t, z = t + 0.62 * (1 if n == 0 else -1), z + 0.35
    if street.crossing > 0:
        for _ in range(int(rng.integers(0, 4))):
            t, z = (
                float(rng.uniform(-street.half, street.half)),
                street.crossing + float(rng.uniform(-1, 1)),
            )
            if z > 7 and _free(taken, t, z, 0.4):
                figures.person(mesh, rng, street.x(t, z), z)
