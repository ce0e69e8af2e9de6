"""Street furniture: lamps on masts and cables, signals, signs and posts."""

from __future__ import annotations

from .geometry import (
    RETRO,
    ROUND,
    Light,
    Mesh,
    Point,
)
from .shapes import Rng, disc, emission, pick, shade
from .world import (
    LIGHT,
    POLE,
    SIGN,
    Color,
    World,
)


def post(
    mesh: Mesh, x: float, z: float, height: float, width: float, color: Color, base: float = 0.0
) -> None:
    """A vertical pole."""
    h = width / 2
    quad = [(x - h, base, z), (x + h, base, z), (x + h * 0.8, height, z), (x - h * 0.8, height, z)]
    mesh.add(quad, POLE, color, key=z, kind=ROUND, params=(width / 2,), origin=(x, 0.0, z))


def street_lamp(
    mesh: Mesh, world: World, rng: Rng, x: float, z: float, toward: float, strength: float
) -> None:
    """A mast with an arm over the road; ``toward`` is the sign of the direction to the road."""
    height, reach = rng.uniform(5.6, 7.2), rng.uniform(1.2, 2.2) * toward
    color = pick(rng, world.pole)
    post(mesh, x, z, height, 0.2, color)
    arm = [
        (x, height - 0.12, z),
        (x + reach, height + 0.12, z),
        (x + reach, height + 0.26, z),
        (x, height + 0.06, z),
    ]
    mesh.add(arm, POLE, color, key=z)
    lamp_head(mesh, world, (x + reach, height + 0.1, z), strength)


def cable_lamp(
    mesh: Mesh,
    world: World,
    rng: Rng,
    left: float,
    right: float,
    at: float,
    z: float,
    strength: float,
) -> None:
    """A lamp that hangs over the road from a cable between the houses."""
    height = rng.uniform(6.2, 7.4)
    for a, b in ((left, at), (at, right)):
        ya, yb = (height + 1.0, height) if a == left else (height, height + 1.0)
        mesh.add(
            [(a, ya, z), (b, yb, z), (b, yb + 0.05, z), (a, ya + 0.05, z)],
            POLE,
            (62, 62, 64),
            key=z,
        )
    lamp_head(mesh, world, (at, height - 0.1, z), strength)


def lamp_head(mesh: Mesh, world: World, at: Point, strength: float) -> None:
    """The luminaire and its light; ``strength`` 0 is a lamp that is out."""
    x, y, z = at
    head = [(x - 0.35, y, z), (x + 0.35, y, z), (x + 0.28, y + 0.2, z), (x - 0.28, y + 0.2, z)]
    mesh.add(head, POLE, (168, 168, 164), key=z - 0.01)
    glow = emission(world.lamp, 18.0 * strength)
    mesh.add(
        [(x - 0.34, y - 0.14, z), (x + 0.34, y - 0.14, z), (x + 0.34, y, z), (x - 0.34, y, z)],
        POLE,
        (220, 218, 205),
        key=z - 0.02,
        night=glow,
    )
    if strength > 0:
        mesh.lights.append(
            Light((x, y - 0.2, z), emission(world.lamp, 120.0 * strength), True, 'lamp')
        )


def traffic_light(
    mesh: Mesh, world: World, rng: Rng, x: float, z: float, toward: float, state: int
) -> None:
    """A signal on a pole, often with a second head on an arm over the road.

    State 0 is red, 1 amber, 2 green.
    """
    color = pick(rng, world.pole)
    heads = [(x, 2.6)]
    high = bool(rng.random() < 0.6)
    post(mesh, x, z, 6.0 if high else 3.8, 0.2, color)
    if high:
        reach = rng.uniform(2.6, 4.2) * toward
        mesh.add(
            [(x, 5.6, z), (x + reach, 5.75, z), (x + reach, 5.9, z), (x, 5.8, z)],
            POLE,
            color,
            key=z,
        )
        heads.append((x + reach, 4.9))
    for hx, hy in heads:
        case = [
            (hx - 0.26, hy, z),
            (hx + 0.26, hy, z),
            (hx + 0.26, hy + 1.2, z),
            (hx - 0.26, hy + 1.2, z),
        ]
        mesh.add(case, LIGHT, (30, 32, 32), key=z - 0.03)
        for i, lamp in enumerate(((240, 40, 30), (250, 180, 30), (40, 230, 130))):
            on = i == state
            mesh.add(
                disc((hx, hy + 0.98 - 0.38 * i, z), 0.16),
                LIGHT,
                lamp if on else shade(lamp, 0.25),
                key=z - 0.04,
                night=emission(lamp, 9.0 if on else 0.0),
                day=0.12,
            )
    lamp = ((255, 50, 30), (255, 190, 40), (50, 255, 140))[state]
    mesh.lights.append(
        Light((x, heads[-1][1] + 0.5, z - 0.4), emission(lamp, 1.2), source='signal')
    )


def traffic_sign(mesh: Mesh, world: World, rng: Rng, x: float, z: float) -> None:
    """A sign of one of six designs on a pole; its face returns the headlights."""
    kind = int(rng.integers(6))
    size = rng.uniform(0.42, 0.56)
    post(mesh, x, z, 2.3 + 2.1 * size, 0.11, pick(rng, world.pole))
    y, key = 2.3 + size, z - 0.03
    red, blue, white = (196, 30, 34), (30, 74, 168), (238, 238, 236)

    def face(points: list[Point], color: Color) -> None:
        mesh.add(points, SIGN, color, key=key, kind=RETRO)

    center = (x, y, z)
    if kind == 0:
        face(disc(center, size, corners=16), red)
        face(disc(center, size * 0.68, corners=16), white)
        face(
            [
                (x - 0.1, y - 0.2, z),
                (x + 0.1, y - 0.2, z),
                (x + 0.1, y + 0.2, z),
                (x - 0.1, y + 0.2, z),
            ],
            (40, 40, 40),
        )
    elif kind == 1:
        face(disc(center, size, corners=16), blue)
        face(
            [
                (x - 0.07, y - 0.26, z),
                (x + 0.07, y - 0.26, z),
                (x + 0.2, y + 0.1, z),
                (x, y + 0.32, z),
                (x - 0.2, y + 0.1, z),
            ],
            white,
        )
    elif kind in (2, 3):
        tip = size * 1.2 if kind == 2 else -size * 1.2
        for k, color in ((1.0, red), (0.6, white)):
            face(
                [
                    (x - size * 1.15 * k, y - tip * 0.55 * k, z),
                    (x + size * 1.15 * k, y - tip * 0.55 * k, z),
                    (x, y + tip * k, z),
                ],
                color,
            )
    elif kind == 4:
        for k, color in ((1.0, white), (0.72, (240, 190, 30))):
            r = size * 1.15 * k
            face([(x - r, y, z), (x, y - r, z), (x + r, y, z), (x, y + r, z)], color)
    else:
        w, h = rng.uniform(0.7, 1.2), rng.uniform(0.4, 0.6)
        face([(x - w, y - h, z), (x + w, y - h, z), (x + w, y + h, z), (x - w, y + h, z)], white)
        face(
            [
                (x - w + 0.06, y - h + 0.06, z),
                (x + w - 0.06, y - h + 0.06, z),
                (x + w - 0.06, y + h - 0.06, z),
                (x - w + 0.06, y + h - 0.06, z),
            ],
            blue if rng.random() < 0.6 else (238, 196, 40),
        )
        for row in (-0.4, 0.3):
            face(
                [
                    (x - 0.7 * w, y + row * h - 0.07, z),
                    (x + 0.5 * w, y + row * h - 0.07, z),
                    (x + 0.5 * w, y + row * h + 0.07, z),
                    (x - 0.7 * w, y + row * h + 0.07, z),
                ],
                white,
            )
