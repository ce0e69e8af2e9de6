"""Drawing a street: cross-section, lots and furniture from one seed."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from . import furniture, lots, plants
from .shapes import Rng, pick
from .street import LENGTH, Side, Street
from .world import (
    World,
)


def make_street(world: World, seed: int) -> Street:
    """Draw a street of ``world``; the same seed gives the same street at any time."""
    hue = float(np.random.default_rng([world.seed, ord(world.name), seed, 5]).random())
    lamp = [w + hue * (c - w) for w, c in zip((255.0, 232.0, 196.0), world.lamp, strict=True)]
    world = replace(world, lamp=(lamp[0], lamp[1], lamp[2]))  # from white LED to the city's own
    rng = np.random.default_rng([world.seed, ord(world.name), seed, 1])
    lane_width = rng.uniform(3.0, 3.5)
    parking = (bool(rng.random() < 0.45), bool(rng.random() < 0.45))
    track = bool(rng.random() < world.p_track)
    half = lane_width * (1.0 if not track else 1.45) + 1.1
    strip = 2.1
    sides = []
    for i, sign in enumerate((-1.0, 1.0)):
        verge = rng.uniform(1.2, 2.6) if rng.random() < 0.4 else 0.0
        garden = rng.uniform(1.5, 4.0) if rng.random() < 0.5 else 0.0
        sides.append(Side(sign, verge, rng.uniform(2.2, 4.2), garden))
        half += strip * parking[i] * 0.5
    tracks = ((-1.45, 1.45) if rng.random() < 0.6 else (1.45,)) if track else ()
    street = Street(
        world,
        float(rng.normal(0, 0.0016)),
        half,
        half - strip * parking[1] - lane_width / 2 - 0.25,
        parking,
        tracks,
        float(rng.uniform(9, 32)) if rng.random() < 0.45 else -1.0,
        int(rng.integers(1 << 20)),
        float(rng.uniform(0.05, 0.5)),
        (sides[0], sides[1]),
    )
    for side in street.sides:
        lots.fill_side(street, side, rng)
    lots.close_view(street, rng)
    _furnish(street, rng)
    return street


def _furnish(street: Street, rng: Rng) -> None:
    """Lamps, signals, signs and street trees along both kerbs."""
    world, mesh = street.world, street.mesh
    spacing = rng.uniform(19, 28)
    start = rng.uniform(5, 5 + spacing * 0.7)
    for n, z in enumerate(np.arange(start, LENGTH, spacing)):
        z = float(z)
        strength = float(rng.uniform(0.6, 1.3)) if rng.random() < 0.9 else 0.0
        side = street.sides[(n + street.seed) % 2]
        mast_t = side.sign * (street.half + 0.5)
        if world.cable_lamps and rng.random() < 0.65:
            reach = [s.sign * (street.half + s.verge + s.pavement + s.garden) for s in street.sides]
            at = float(rng.uniform(-1.5, 1.5))
            furniture.cable_lamp(
                mesh,
                world,
                rng,
                street.x(reach[0], z),
                street.x(reach[1], z),
                street.x(at, z),
                z,
                strength,
            )
        else:
            furniture.street_lamp(mesh, world, rng, street.x(mast_t, z), z, -side.sign, strength)
            street.furniture.append((mast_t, z))
    for side in street.sides:
        kerb = side.sign * (street.half + 0.45)
        trees = rng.random() < (0.8 if side.verge else 0.3)
        gap, z = rng.uniform(7, 13), rng.uniform(6, 14)
        t = side.sign * (street.half + (side.verge / 2 if side.verge else 0.8))
        while trees and z < LENGTH * 0.8:
            plants.tree(mesh, world, rng, street.x(t, z), z, rng.uniform(4.5, 8.0))
            street.furniture.append((t, z))
            z += gap * rng.uniform(0.8, 1.6)
        z = rng.uniform(5, 14)
        while z < 75:
            furniture.traffic_sign(mesh, world, rng, street.x(kerb, z), z)
            street.furniture.append((kerb, z))
            z += rng.uniform(8, 26)
        for z in (rng.uniform(4, 9), rng.uniform(10, 40)):
            if rng.random() < 0.5:  # a plain post or bollard
                furniture.post(
                    mesh,
                    street.x(kerb, z),
                    z,
                    rng.uniform(0.9, 4.5),
                    rng.uniform(0.12, 0.22),
                    pick(rng, world.pole),
                )
    if street.crossing > 0 or rng.random() < 0.35:
        z = street.crossing + 2.6 if street.crossing > 0 else float(rng.uniform(12, 34))
        state = int(rng.integers(3))
        for side in street.sides:
            t = side.sign * (street.half + 0.6)
            furniture.traffic_light(mesh, world, rng, street.x(t, z), z, -side.sign, state)
            street.furniture.append((t, z))
