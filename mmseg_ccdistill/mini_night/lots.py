"""What stands along a street: houses, shops, walls, fences, gardens and parks."""

from __future__ import annotations

from typing import Any

import numpy as np

from . import plants
from .geometry import (
    BRICK,
    FACADE,
    FLAT,
    LATTICE,
    TILES,
    Light,
    Point,
)
from .shapes import Rng, emission, pick, shade
from .street import LENGTH, Side, Street
from .world import (
    BUILDING,
    FENCE,
    WALL,
    jitter_color,
)


def fill_side(street: Street, side: Side, rng: Rng) -> None:
    """Draw the lots of one side, nearest first, and build them."""
    z = -6.0 - rng.uniform(0, 8)
    previous = -1
    while z < LENGTH:
        width = rng.uniform(9, 19)
        roll = rng.random()
        kind = (
            0
            if roll < 0.52
            else 1
            if roll < 0.68
            else 2
            if roll < 0.85
            else 3
            if roll < 0.93
            else 4
        )
        if kind == 4 and (previous == 4 or z < 8):
            kind = 0
        if kind == 4:
            width = rng.uniform(7, 10)
        elif kind in (1, 2):
            width = rng.uniform(9, 16)
        side.lots.append((z, z + width, kind))
        previous = kind
        if z + width > 0.5:
            _build_lot(street, side, z, z + width, kind, rng)
        z += width


def _build_lot(street: Street, side: Side, z0: float, z1: float, kind: int, rng: Rng) -> None:
    world, mesh = street.world, street.mesh
    s = side.sign
    edge = street.half + side.verge + side.pavement
    line = edge + side.garden
    if kind == 0:
        _house(street, s * line, z0, z1, rng, shops=side.garden == 0)
        if side.garden > 1.2:
            _boundary(street, s * edge, z0, z1, int(rng.integers(4)), rng)
            for _ in range(int(rng.integers(0, 3))):
                t, z = s * (edge + side.garden * 0.55), rng.uniform(z0 + 1, z1 - 1)
                r = rng.uniform(0.5, 0.9)
                plants.blob(
                    mesh, rng, street.at(t, r * 0.9, z), r, pick(rng, world.foliage), z1 + 0.1
                )
    elif kind in (1, 2):  # a wall, or a fence, with a garden and a house set back behind it
        if rng.random() < 0.6:
            _house(street, s * (line + rng.uniform(8, 14)), z0, z1, rng, shops=False)
        for z in np.arange(z1 - 1.5, z0, -4.0):
            if rng.random() < 0.6:
                plants.tree(
                    mesh,
                    world,
                    rng,
                    street.x(s * (edge + rng.uniform(2.5, 6)), z),
                    float(z) + 0.2,
                    rng.uniform(4, 8),
                )
        _boundary(street, s * edge, z0, z1, 0 if kind == 1 else 1, rng)
    elif kind == 3:  # a small park
        for z in np.arange(z1 - 1.0, z0, -2.6):
            t = s * (edge + rng.uniform(1.5, 12))
            plants.tree(mesh, world, rng, street.x(t, z), float(z), rng.uniform(5, 10))
        if rng.random() < 0.4:
            _boundary(street, s * edge, z0, z1, int(rng.integers(1, 3)), rng)


def _boundary(street: Street, t: float, z0: float, z1: float, kind: int, rng: Rng) -> None:
    """What closes a lot off from the pavement: 0 wall, 1 fence, 2 hedge, else nothing."""
    world, mesh = street.world, street.mesh
    a, b = street.at(t, 0.0, z0), street.at(t, 0.0, z1)
    if kind == 0:
        height = rng.uniform(1.1, 2.6)
        color, brick = pick(rng, world.wall), float(rng.random() < 0.5)
        mesh.add(
            [a, b, (b[0], height, b[2]), (a[0], height, a[2])],
            WALL,
            color,
            key=z1,
            kind=BRICK,
            params=(brick, 0.5, 0.16, height),
            color2=shade(color, 0.72),
        )
        mesh.add(
            [
                (a[0], height, z0),
                (b[0], height, z1),
                (b[0], height + 0.14, z1),
                (a[0], height + 0.14, z0),
            ],
            WALL,
            shade(color, 1.15),
            key=z1,
        )
    elif kind == 1:
        height = rng.uniform(1.1, 1.9)
        style = int(rng.integers(3))
        pitch, bar = ((0.24, 0.45), (0.16, 0.62), (0.3, 0.36))[style]
        mesh.add(
            [a, b, (b[0], height, b[2]), (a[0], height, a[2])],
            FENCE,
            pick(rng, world.fence),
            key=z1,
            kind=LATTICE,
            params=(pitch, bar, height, float(style)),
        )
    elif kind == 2:
        plants.hedge(mesh, a, b, rng.uniform(0.9, 1.7), pick(rng, world.foliage), z1)


def _house(street: Street, t: float, z0: float, z1: float, rng: Rng, shops: bool) -> None:
    """A house whose front stands on lateral offset ``t`` between ``z0`` and ``z1``."""
    world, mesh = street.world, street.mesh
    s = 1.0 if t > 0 else -1.0
    t += s * rng.uniform(0, 0.5)
    storeys = int(rng.integers(world.storeys[0], world.storeys[1] + 1))
    storey = rng.uniform(*world.storey_height)
    ground = storey + 0.6
    height = ground + storey * (storeys - 1) + 0.4
    brick = bool(rng.random() < world.p_brick)
    color = jitter_color((142, 82, 66), rng, 14.0) if brick else pick(rng, world.plaster, 9.0)
    pitch = world.window[0] * rng.uniform(0.9, 1.15)
    shop = shops and rng.random() < world.p_shop
    style = float(brick) + 2.0 * (rng.random() < world.p_shutter) + 4.0 * shop
    params = (
        pitch,
        world.window[1] * rng.uniform(0.85, 1.1),
        world.window[2] * rng.uniform(0.9, 1.1),
        storey,
        ground,
        style,
        rng.uniform(0.12, 0.5),
        float(rng.integers(1, 1 << 12)),
    )
    a, b = street.at(t, 0.0, z0), street.at(t, 0.0, z1)
    depth = 11.0
    inner = (t + s * depth / 2, height / 2, (z0 + z1) / 2)
    center = (street.x(inner[0], inner[2]), inner[1], inner[2])
    kw: dict[str, Any] = {
        'kind': FACADE,
        'color2': pick(rng, world.trim),
        'params': params,
        'center': center,
    }
    far_a = (a[0] + s * depth, 0.0, z0)
    blind = (*params[:5], style - 4.0 * shop + 8.0, *params[6:])
    mesh.add(
        [a, far_a, (far_a[0], height, z0), (a[0], height, z0)],
        BUILDING,
        shade(color, 0.97),
        key=z1,
        **(kw | {'params': blind}),
    )
    if rng.random() >= world.p_flat_roof:
        roof, rise = pick(rng, world.roofs), rng.uniform(2.2, 4.0)
        ridge_a, ridge_b = (
            (a[0] + s * depth / 2, height + rise, z0),
            (b[0] + s * depth / 2, height + rise, z1),
        )
        mesh.add(
            [(a[0], height, z0), (far_a[0], height, z0), ridge_a],
            BUILDING,
            color,
            key=z1,
            center=center,
        )
        mesh.add(
            [
                (a[0] - s * 0.35, height - 0.15, z0),
                (b[0] - s * 0.35, height - 0.15, z1),
                ridge_b,
                ridge_a,
            ],
            BUILDING,
            roof,
            key=z1,
            kind=TILES,
            color2=shade(roof, 0.7),
        )
        if rng.random() < 0.5:
            zc = rng.uniform(z0 + 1, z1 - 1)
            cx = street.x(t, zc) + s * depth * 0.4
            top = height + rise + 0.9
            mesh.add(
                [
                    (cx, height + rise * 0.6, zc),
                    (cx + 0.8, height + rise * 0.6, zc),
                    (cx + 0.8, top, zc),
                    (cx, top, zc),
                ],
                BUILDING,
                (120, 84, 72),
                key=z1,
                kind=FLAT,
            )
    mesh.add(
        [a, b, (b[0], height, z1), (a[0], height, z0)], BUILDING, color, key=z1, origin=a, **kw
    )
    ledge = [
        (a[0], height - 0.25, z0),
        (b[0], height - 0.25, z1),
        (b[0], height, z1),
        (a[0], height, z0),
    ]
    mesh.add(ledge, BUILDING, pick(rng, world.trim), key=z1, center=center)
    mesh.casters.append(
        ([(a[0], z0), (b[0], z1), (b[0] + s * depth, z1), (far_a[0], z0)], height, False)
    )
    if shop:
        _shop(street, t, s, z0, z1, ground, rng, center)


def _shop(
    street: Street, t: float, s: float, z0: float, z1: float, ground: float, rng: Rng, center: Point
) -> None:
    """Name board, awning and the light that the window throws on the pavement."""
    mesh = street.mesh
    hue = pick(
        rng,
        (
            (170, 36, 40),
            (36, 80, 140),
            (40, 110, 70),
            (210, 170, 60),
            (60, 56, 60),
            (220, 220, 216),
        ),
        10.0,
    )
    lit = rng.random() < 0.7
    glow = emission(jitter_color((255, 226, 180), rng, 20.0), 0.9)
    x0, x1 = street.x(t - s * 0.06, z0 + 0.5), street.x(t - s * 0.06, z1 - 0.5)
    board = [
        (x0, ground - 0.95, z0 + 0.5),
        (x1, ground - 0.95, z1 - 0.5),
        (x1, ground - 0.4, z1 - 0.5),
        (x0, ground - 0.4, z0 + 0.5),
    ]
    mesh.add(
        board,
        BUILDING,
        hue,
        key=z1,
        center=center,
        night=emission(hue, 2.5) if lit else (0.0, 0.0, 0.0),
    )
    if rng.random() < 0.4:
        out0, out1 = street.x(t - s * 1.3, z0 + 0.5), street.x(t - s * 1.3, z1 - 0.5)
        awning = [
            (x0, ground - 0.5, z0 + 0.5),
            (x1, ground - 0.5, z1 - 0.5),
            (out1, ground - 1.15, z1 - 0.5),
            (out0, ground - 1.15, z0 + 0.5),
        ]
        mesh.add(awning, BUILDING, shade(hue, 0.9), key=z1)
    if lit:
        for z in np.linspace(z0, z1, 4)[1:-1]:
            mesh.lights.append(
                Light(
                    street.at(t - s * 0.9, 1.9, float(z)),
                    (glow[0] * 5, glow[1] * 5, glow[2] * 5),
                    source='shop',
                )
            )


def close_view(street: Street, rng: Rng) -> None:
    """Houses or trees across the end of the street, so that the horizon is a city's."""
    world, mesh = street.world, street.mesh
    z = LENGTH + 12.0
    t = -70.0
    while t < 70.0:
        width = rng.uniform(10, 20)
        x0, x1 = street.x(t, z), street.x(t + width, z)
        if rng.random() < 0.65:
            storey = rng.uniform(*world.storey_height)
            height = rng.uniform(9, 20)
            params = (
                2.4,
                1.1,
                1.6,
                storey,
                storey,
                float(rng.random() < 0.3),
                0.3,
                float(rng.integers(1, 1 << 12)),
            )
            mesh.add(
                [(x0, 0, z), (x1, 0, z), (x1, height, z), (x0, height, z)],
                BUILDING,
                pick(rng, world.plaster),
                key=z,
                kind=FACADE,
                color2=pick(rng, world.trim),
                params=params,
            )
        else:
            for x in np.arange(x0, x1, 5.0):
                plants.tree(mesh, world, rng, float(x), z - 1.0, rng.uniform(8, 15))
        t += width
