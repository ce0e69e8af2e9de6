"""Pedestrians, riders, bicycles and motorcycles as flat figures."""

from __future__ import annotations

import math
from typing import Any

from .geometry import (
    ROUND,
    WHEEL,
    Mesh,
)
from .shapes import Frame, Rng, board, disc, disc_footprint, emission, pick, shade
from .world import (
    BICYCLE,
    MOTORCYCLE,
    PERSON,
    RIDER,
    Color,
    World,
)

CLOTHES: tuple[Color, ...] = (
    (40, 44, 60),
    (60, 58, 60),
    (150, 40, 44),
    (44, 84, 140),
    (190, 180, 160),
    (70, 92, 70),
    (206, 206, 208),
    (200, 130, 50),
    (96, 60, 96),
    (36, 36, 38),
)


def person(
    mesh: Mesh, rng: Rng, x: float, z: float, label: int = PERSON, height: float = 1.74
) -> None:
    """A walking pedestrian seen from any side, as a flat figure across the street."""
    k = height / 1.74
    skin = ((214, 170, 140), (178, 128, 98), (110, 78, 60))[int(rng.integers(3))]
    coat, trousers = pick(rng, CLOTHES, 12.0), pick(rng, CLOTHES[:4], 10.0)
    stride, lean = rng.uniform(0.06, 0.26), rng.uniform(-0.04, 0.04)
    f = Frame(x, z, scale=k)
    kw: dict[str, Any] = {'kind': ROUND, 'params': (0.3 * k,), 'origin': (x, 0.0, z)}
    for side in (-1, 1):
        foot = side * stride
        board(
            mesh,
            [(side * 0.02, 0.92), (side * 0.19, 0.92), (foot + 0.1, 0.04), (foot - 0.09, 0.04)],
            f,
            label,
            shade(trousers, 1.0 if side > 0 else 0.8),
            z,
            **kw,
        )
        board(
            mesh,
            [(foot - 0.1, 0.0), (foot + 0.15, 0.0), (foot + 0.1, 0.09), (foot - 0.1, 0.09)],
            f,
            label,
            (38, 34, 32),
            z,
        )
    board(
        mesh,
        [
            (-0.22, 0.82),
            (0.22, 0.82),
            (0.27 + lean, 1.3),
            (0.2 + lean, 1.46),
            (-0.2 + lean, 1.46),
            (-0.27 + lean, 1.3),
        ],
        f,
        label,
        coat,
        z,
        **kw,
    )
    for side in (-1, 1):
        swing = rng.uniform(-0.04, 0.12)
        arm = [
            (side * 0.23, 1.44),
            (side * 0.3, 1.36),
            (side * (0.33 + swing), 0.84),
            (side * (0.25 + swing), 0.84),
        ]
        board(mesh, arm, f, label, shade(coat, 0.82), z)
    head(mesh, f, label, skin, rng, 1.6, lean, z)
    mesh.casters.append((disc_footprint(x, z, 0.3), height, True))


def head(
    mesh: Mesh, f: Frame, label: int, skin: Color, rng: Rng, y: float, lean: float, key: float
) -> None:
    """Neck, face and hair (or a helmet) of a flat figure."""
    hair = ((40, 32, 28), (92, 66, 40), (176, 148, 96), (120, 118, 116))[int(rng.integers(4))]
    center = f(lean, y, 0.0)
    axis = (math.cos(f.heading), -math.sin(f.heading))
    mesh.add(disc(center, 0.145 * f.scale, axis), label, hair, key=key)
    mesh.add(disc(f(lean, y - 0.035, 0.0), 0.11 * f.scale, axis, 10), label, skin, key=key)


def two_wheeler(
    mesh: Mesh,
    world: World,
    rng: Rng,
    x: float,
    z: float,
    heading: float,
    motor: bool,
    ridden: bool,
    lit: bool = False,
) -> None:
    """A bicycle or motorcycle, parked or ridden, drawn on its plane of symmetry.

    ``heading`` is that of the plane; it is kept at least 25 degrees off the line of sight so that
    the machine never degenerates into a line.
    """
    label = MOTORCYCLE if motor else BICYCLE
    f = Frame(x, z, heading - math.pi / 2)  # board() spans the side axis: turn it along the heading
    axis = (math.cos(f.heading), -math.sin(f.heading))
    if motor:
        paint = pick(
            rng, ((180, 30, 34), (30, 50, 130), (34, 34, 36), (200, 200, 204), (220, 130, 30))
        )
        radius, base = 0.33, 0.74
    else:
        paint = pick(
            rng,
            (
                (170, 40, 40),
                (40, 70, 150),
                (40, 42, 44),
                (210, 210, 210),
                (50, 120, 80),
                (220, 160, 40),
            ),
        )
        radius, base = 0.36, 0.56
    for s in (-base, base):
        mesh.add(
            disc(f(s, radius, 0.0), radius, axis, 16),
            label,
            (34, 34, 34),
            key=z,
            kind=WHEEL,
            params=(radius, 1.0 if motor else 0.0),
            origin=f(s, radius, 0.0),
        )

    def bar(a: tuple[float, float], b: tuple[float, float], width: float, color: Color) -> None:
        dx, dy = b[0] - a[0], b[1] - a[1]
        n = math.hypot(dx, dy) + 1e-6
        ox, oy = -dy / n * width / 2, dx / n * width / 2
        board(
            mesh,
            [
                (a[0] + ox, a[1] + oy),
                (b[0] + ox, b[1] + oy),
                (b[0] - ox, b[1] - oy),
                (a[0] - ox, a[1] - oy),
            ],
            f,
            label,
            color,
            z - 0.01,
        )

    if motor:
        body = [
            (-0.5, 0.42),
            (0.35, 0.36),
            (0.62, 0.72),
            (0.5, 1.0),
            (0.2, 0.92),
            (-0.3, 0.84),
            (-0.92, 0.95),
            (-0.85, 0.72),
        ]
        board(mesh, body, f, label, paint, z - 0.01)
        board(
            mesh,
            [(-0.4, 0.3), (0.25, 0.28), (0.25, 0.6), (-0.4, 0.6)],
            f,
            label,
            (72, 72, 74),
            z - 0.01,
        )
        board(
            mesh,
            [(-0.9, 0.92), (0.1, 0.88), (0.1, 1.0), (-0.85, 1.04)],
            f,
            label,
            (28, 28, 30),
            z - 0.01,
        )
        bar((0.74, 0.33), (0.48, 1.1), 0.1, (110, 112, 114))
        board(
            mesh,
            [(0.45, 1.0), (0.7, 0.78), (0.68, 1.02), (0.5, 1.32)],
            f,
            label,
            (60, 66, 72),
            z - 0.01,
        )
    else:
        for a, b in (
            ((-base, radius), (-0.12, 0.86)),
            ((-base, radius), (0.0, 0.3)),
            ((0.0, 0.3), (-0.14, 0.95)),
            ((0.0, 0.3), (0.4, 0.85)),
            ((-0.12, 0.82), (0.4, 0.85)),
            ((base, radius), (0.4, 1.02)),
        ):
            bar(a, b, 0.07, paint)
        bar((-0.26, 0.97), (0.02, 0.97), 0.1, (30, 30, 30))
        bar((0.3, 1.08), (0.52, 1.03), 0.07, (50, 50, 50))
    if lit:
        lamp = (255, 236, 200) if math.cos(heading) < 0 else (255, 40, 30)
        at = f(0.62, 0.86, 0.0)
        mesh.add(
            disc(at, 0.11, (1.0, 0.0), 8),
            label,
            lamp,
            key=z - 0.05,
            night=emission(lamp, 9.0),
            day=0.05,
        )
    if ridden:
        coat, trousers = pick(rng, CLOTHES, 12.0), pick(rng, CLOTHES[:4], 10.0)
        skin = ((214, 170, 140), (178, 128, 98))[int(rng.integers(2))]
        seat = 0.98 if not motor else 0.95
        kw: dict[str, Any] = {'kind': ROUND, 'params': (0.4,), 'origin': (x, 0.0, z)}
        knee, foot = (0.25, seat - 0.25), (0.02, 0.28)
        hip = (-0.16, seat)
        for color, dy in ((shade(trousers, 0.75), 0.06), (trousers, -0.02)):
            board(
                mesh,
                [
                    (hip[0] - 0.1, hip[1] - 0.05),
                    (hip[0] + 0.12, hip[1] + 0.1),
                    (knee[0] + 0.1, knee[1] + dy + 0.08),
                    (foot[0] + 0.16, foot[1] + dy),
                    (foot[0] - 0.08, foot[1] + dy),
                    (knee[0] - 0.1, knee[1] + dy),
                ],
                f,
                RIDER,
                color,
                z - 0.02,
            )
        board(
            mesh,
            [
                (-0.34, seat - 0.02),
                (0.06, seat),
                (0.3, seat + 0.52),
                (0.1, seat + 0.66),
                (-0.14, seat + 0.5),
            ],
            f,
            RIDER,
            coat,
            z - 0.02,
            **kw,
        )
        board(
            mesh,
            [(0.08, seat + 0.56), (0.24, seat + 0.5), (0.5, seat + 0.14), (0.42, seat + 0.06)],
            f,
            RIDER,
            shade(coat, 0.8),
            z - 0.02,
        )
        hat = (
            pick(rng, ((190, 40, 40), (230, 230, 230), (40, 40, 44), (40, 90, 180)))
            if motor or rng.random() < 0.5
            else skin
        )
        mesh.add(disc(f(0.26, seat + 0.78, 0.0), 0.17, axis), RIDER, hat, key=z - 0.02)
        mesh.add(
            disc(f(0.3, seat + 0.73, 0.0), 0.11, axis, 10),
            RIDER,
            (40, 44, 50) if motor else skin,
            key=z - 0.02,
        )
    mesh.casters.append((disc_footprint(x, z, 0.5), 1.2, True))
