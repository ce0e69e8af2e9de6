"""Cars as extruded profiles, and the wheels and lamps of every vehicle."""

from __future__ import annotations

import math

from .geometry import (
    GLASS,
    Light,
    Mesh,
    Point,
)
from .shapes import Frame, Rng, emission, pick, shade
from .world import (
    CAR,
    Color,
)

PAINTS: tuple[Color, ...] = (
    (34, 36, 40),
    (70, 74, 80),
    (150, 154, 160),
    (214, 216, 218),
    (120, 24, 30),
    (30, 52, 104),
    (46, 70, 62),
    (186, 182, 170),
    (20, 22, 26),
    (170, 30, 34),
    (96, 110, 130),
)


TYRE: Color = (26, 26, 28)


PANE: Color = (44, 54, 62)


def footprint(f: Frame, length: float, width: float) -> list[tuple[float, float]]:
    """Corners (x, z) of the rectangle that a vehicle covers."""
    corners = [
        f(s * width / 2, 0.0, a * length / 2) for s, a in ((-1, -1), (1, -1), (1, 1), (-1, 1))
    ]
    return [(p[0], p[2]) for p in corners]


def wheel(
    mesh: Mesh,
    f: Frame,
    side: float,
    ahead: float,
    radius: float,
    label: int,
    key: float,
    center: Point,
) -> None:
    """A wheel of tyre, rim and hub on the side of a vehicle."""
    for r, color in ((radius, TYRE), (radius * 0.6, (120, 122, 126)), (radius * 0.2, (60, 60, 64))):
        ring = [
            f(side, radius + r * math.sin(a), ahead + r * math.cos(a))
            for a in (2 * math.pi * i / 14 for i in range(14))
        ]
        mesh.add(ring, label, color, key=key, center=center)


def lamps(
    mesh: Mesh,
    f: Frame,
    label: int,
    half_width: float,
    y: float,
    nose: float,
    tail: float,
    key: float,
    on: bool,
    braking: bool,
    center: Point,
    size: float = 0.2,
) -> None:
    """Head and tail lamps; the ones that shine light up the road in front of them at night."""
    white, red = (255, 240, 214), (255, 36, 26)
    for s in (-1, 1):
        a, b = s * (half_width - 0.08), s * (half_width - 0.08 - 1.5 * size)
        front = [
            f(a, y - 0.02, nose),
            f(b, y - 0.02, nose),
            f(b, y + size * 0.7, nose),
            f(a, y + size * 0.8, nose),
        ]
        mesh.add(
            front,
            label,
            (226, 228, 230),
            key=key,
            center=center,
            night=emission(white, 22.0 if on else 0.0),
        )
        c = s * (half_width - 0.06 - 1.2 * size)
        rear = [
            f(a, y, tail),
            f(c, y, tail),
            f(c, y + size * 1.1, tail),
            f(a, y + size * 1.2, tail),
        ]
        strength = (6.0 if braking else 2.2) if on else 0.0
        mesh.add(
            rear,
            label,
            (150, 26, 26),
            key=key,
            center=center,
            night=emission(red, strength),
            day=0.12 if braking else 0.0,
        )
    if on:
        mesh.lights.append(Light(f(0.0, 0.5, nose + 2.2), emission(white, 3.0)))
        mesh.lights.append(Light(f(0.0, 0.35, tail - 1.3), emission(red, 0.5 if braking else 0.2)))


def car(
    mesh: Mesh, rng: Rng, x: float, z: float, heading: float, *, lights: bool, braking: bool = False
) -> None:
    """A hatchback, saloon, estate or van of random colour."""
    kind = int(rng.integers(4))
    length = (3.9, 4.5, 4.6, 4.7)[kind] * rng.uniform(0.96, 1.04)
    roof = (1.46, 1.42, 1.58, 1.9)[kind] * rng.uniform(0.97, 1.03)
    half, hw, belt = length / 2, rng.uniform(0.86, 0.94), (0.92, 0.9, 0.98, 1.05)[kind]
    paint = pick(rng, PAINTS, 8.0)
    f, key = Frame(x, z, heading), z
    center = f(0.0, 0.7, 0.0)
    front_roof = (0.25, 0.3, 0.4, 0.75)[kind]
    back_roof = (-half + 0.45, -half + 1.15, -half + 0.35, -half + 0.12)[kind]
    rear = -half + (0.05 if kind != 1 else 0.55)
    shield = front_roof + (0.75, 0.85, 0.75, 0.55)[kind]
    profile = [
        (-half, 0.32),
        (-half, belt - 0.12),
        (rear, belt),
        (back_roof, roof - 0.05),
        (front_roof, roof),
        (shield, belt),
        (half - 0.25, belt - 0.17),
        (half, 0.62),
        (half, 0.32),
    ]
    for s in (-1.0, 1.0):  # dark sill, so that the body does not float
        sill = [
            f(s * (hw - 0.06), 0.1, -half + 0.15),
            f(s * (hw - 0.06), 0.1, half - 0.15),
            f(s * (hw - 0.06), 0.4, half - 0.15),
            f(s * (hw - 0.06), 0.4, -half + 0.15),
        ]
        mesh.add(sill, CAR, TYRE, key=key, center=center)
    for e in (-half + 0.1, half - 0.1):
        mesh.add(
            [
                f(-hw + 0.05, 0.05, e),
                f(hw - 0.05, 0.05, e),
                f(hw - 0.05, 0.4, e),
                f(-hw + 0.05, 0.4, e),
            ],
            CAR,
            TYRE,
            key=key,
            center=center,
        )
    parts = ('body', 'body', 'glass', 'roof', 'glass', 'body', 'body', 'body')
    edges = sorted(range(8), key=lambda i: profile[i][1])
    for i in edges:
        (a0, y0), (a1, y1) = profile[i], profile[i + 1]
        tuck0, tuck1 = (hw - 0.16 if y > belt + 0.05 else hw for y in (y0, y1))
        quad = [f(-tuck0, y0, a0), f(tuck0, y0, a0), f(tuck1, y1, a1), f(-tuck1, y1, a1)]
        glass = parts[i] == 'glass'
        mesh.add(
            quad,
            CAR,
            PANE if glass else shade(paint, 1.06 if parts[i] == 'roof' else 1.0),
            key=key,
            kind=GLASS if glass else 0,
            center=center,
        )
    for s in (-1.0, 1.0):
        low = [p for p in profile if p[1] <= belt + 0.01]
        mesh.add([f(s * hw, y, a) for a, y in low], CAR, paint, key=key, center=center)
        tuck = s * (hw - 0.16)
        cabin = [
            f(s * hw, belt, rear),
            f(s * hw, belt, shield),
            f(tuck, roof, front_roof),
            f(tuck, roof - 0.05, back_roof),
        ]
        mesh.add(cabin, CAR, paint, key=key, center=center)
        mid = (back_roof + front_roof) / 2 + 0.1
        t1, t2 = s * (hw - 0.02), s * (hw - 0.13)
        glass_y = roof - 0.13
        panes = [
            [(rear + 0.3, mid - 0.06), (mid - 0.06, back_roof + 0.14)],
            [(mid + 0.06, shield - 0.2), (front_roof - 0.02, mid + 0.06)],
        ]
        for (lo0, lo1), (hi1, hi0) in panes:
            quad = [
                f(t1, belt + 0.03, lo0),
                f(t1, belt + 0.03, lo1),
                f(t2, glass_y, hi1),
                f(t2, glass_y, hi0),
            ]
            mesh.add(quad, CAR, PANE, key=key, kind=GLASS, center=center)
    for s in (-1.0, 1.0):
        for a in (mid, shield - 0.05):  # door seams
            w = s * (hw + 0.004)
            mesh.add(
                [
                    f(w, 0.4, a - 0.02),
                    f(w, 0.4, a + 0.02),
                    f(w, belt, a + 0.02),
                    f(w, belt, a - 0.02),
                ],
                CAR,
                shade(paint, 0.55),
                key=key,
                center=center,
            )
        mesh.add(
            [
                f(s * (hw + 0.004), 0.3, -half + 0.1),
                f(s * (hw + 0.004), 0.3, half - 0.1),
                f(s * (hw + 0.004), 0.42, half - 0.1),
                f(s * (hw + 0.004), 0.42, -half + 0.1),
            ],
            CAR,
            shade(paint, 0.5),
            key=key,
            center=center,
        )
        for a in (-half + 0.78, half - 0.82):
            wheel(mesh, f, s * (hw + 0.01), a, 0.33, CAR, key, center)
        mirror = [
            f(s * hw, belt, shield - 0.35),
            f(s * (hw + 0.2), belt, shield - 0.35),
            f(s * (hw + 0.2), belt + 0.15, shield - 0.35),
            f(s * hw, belt + 0.15, shield - 0.35),
        ]
        mesh.add(mirror, CAR, shade(paint, 0.8), key=key)
    for e in (-half, half):
        bumper = [f(-hw, 0.3, e), f(hw, 0.3, e), f(hw, 0.45, e), f(-hw, 0.45, e)]
        mesh.add(bumper, CAR, shade(paint, 0.45), key=key, center=center)
    plate = [f(-0.26, 0.48, -half), f(0.26, 0.48, -half), f(0.26, 0.6, -half), f(-0.26, 0.6, -half)]
    mesh.add(plate, CAR, (222, 222, 214), key=key, center=center)
    grill = [f(-0.5, 0.36, half), f(0.5, 0.36, half), f(0.45, 0.54, half), f(-0.45, 0.54, half)]
    mesh.add(grill, CAR, (30, 30, 32), key=key, center=center)
    lamps(mesh, f, CAR, hw, 0.6, half, -half, key, lights, braking, center)
    mesh.casters.append((footprint(f, length, 2 * hw), roof, True))
