"""Trucks, buses and trams as long boxes."""

from __future__ import annotations

import math

from .cars import PAINTS, PANE, TYRE, footprint, lamps, wheel
from .geometry import (
    COACH,
    GLASS,
    Mesh,
)
from .shapes import Frame, Rng, emission, pick, shade
from .world import (
    BUS,
    TRAIN,
    TRUCK,
    Color,
    World,
    jitter_color,
)


def _body(
    mesh: Mesh,
    f: Frame,
    label: int,
    length: float,
    width: float,
    low: float,
    high: float,
    color: Color,
    kind: int,
    color2: Color,
    params: tuple[float, ...],
    night: Color = (0.0, 0.0, 0.0),
) -> None:
    """A long box: sides in sections, so that the painter's order holds along it, then the ends."""
    sections = max(int(round(length / 4.0)), 1)
    start = f(0.0, 0.0, -length / 2)
    for i in range(sections):
        a, b = (-length / 2 + length * k / sections for k in (i, i + 1))
        middle = f(0.0, (low + high) / 2, (a + b) / 2)
        for s in (-1.0, 1.0):
            x = s * width / 2
            mesh.add(
                [f(x, low, a), f(x, low, b), f(x, high, b), f(x, high, a)],
                label,
                color,
                key=middle[2],
                kind=kind,
                color2=color2,
                params=params,
                origin=(start[0], 0.0, start[2]),
                center=middle,
                night=night,
            )
    for e in (-length / 2, length / 2):
        x = width / 2
        key = f(0.0, 0.0, e)[2] - 0.01
        mesh.add(
            [f(-x, low, e), f(x, low, e), f(x, high, e), f(-x, high, e)],
            label,
            color,
            key=key,
            center=f(0.0, (low + high) / 2, 0.0),
        )


def _windscreen(
    mesh: Mesh,
    f: Frame,
    label: int,
    width: float,
    low: float,
    high: float,
    ahead: float,
    inside: Color,
) -> None:
    x, key = width / 2 - 0.12, f(0.0, 0.0, ahead)[2] - 0.015
    mesh.add(
        [f(-x, low, ahead), f(x, low, ahead), f(x, high, ahead), f(-x, high, ahead)],
        label,
        PANE,
        key=key,
        kind=GLASS,
        center=f(0.0, 1.5, 0.0),
        night=inside,
    )


def _wheels(mesh: Mesh, f: Frame, label: int, width: float, places: tuple[float, ...]) -> None:
    for s in (-1.0, 1.0):
        for a in places:
            at = f(0.0, 0.5, a)
            wheel(mesh, f, s * (width / 2 + 0.02), a, 0.48, label, at[2] - 0.02, at)


def bus(
    mesh: Mesh, world: World, rng: Rng, x: float, z: float, heading: float, *, lights: bool
) -> None:
    """A city bus of 11 m, lit inside at night."""
    f, length, width = Frame(x, z, heading), 11.0, 2.5
    color = pick(rng, world.bus, 6.0)
    inside = emission((255, 236, 190), 0.4 if lights else 0.0)
    _body(mesh, f, BUS, length, width, 0.12, 0.35, TYRE, 0, TYRE, ())
    _body(
        mesh, f, BUS, length, width, 0.3, 3.0, color, COACH, PANE, (1.45, 1.1, 2.45, 0.12), inside
    )
    for e in (-length / 2, length / 2):
        _windscreen(mesh, f, BUS, width, 1.1, 2.4, e, inside)
        board = [f(-0.9, 2.55, e), f(0.9, 2.55, e), f(0.9, 2.85, e), f(-0.9, 2.85, e)]
        mesh.add(
            board,
            BUS,
            (40, 36, 26),
            key=f(0.0, 0.0, e)[2] - 0.02,
            center=f(0.0, 1.5, 0.0),
            night=emission((255, 170, 40), 1.6),
            day=0.25,
        )
    _wheels(mesh, f, BUS, width, (-length / 2 + 2.4, length / 2 - 2.2))
    _finish(mesh, f, BUS, length, width, 3.0, 0.62, lights, rng)


def tram(
    mesh: Mesh, world: World, rng: Rng, x: float, z: float, heading: float, *, lights: bool
) -> None:
    """A tram of 22 m on the tracks (Cityscapes class train)."""
    f, length, width = Frame(x, z, heading), 22.0, 2.4
    color = pick(rng, world.tram, 6.0)
    inside = emission((255, 240, 205), 0.42 if lights else 0.0)
    _body(mesh, f, TRAIN, length, width, 0.06, 0.45, (46, 48, 52), 0, TYRE, ())
    _body(mesh, f, TRAIN, length, width, 0.4, 1.2, color, 0, PANE, ())
    _body(
        mesh,
        f,
        TRAIN,
        length,
        width,
        1.15,
        2.95,
        (222, 222, 216),
        COACH,
        PANE,
        (1.9, 1.3, 2.5, 0.1),
        inside,
    )
    _body(mesh, f, TRAIN, length, width * 0.92, 2.9, 3.35, (110, 112, 116), 0, PANE, ())
    for e in (-length / 2, length / 2):
        _windscreen(mesh, f, TRAIN, width, 1.3, 2.5, e, inside)
        board = [f(-0.5, 2.6, e), f(0.5, 2.6, e), f(0.5, 2.85, e), f(-0.5, 2.85, e)]
        mesh.add(
            board,
            TRAIN,
            (40, 36, 26),
            key=f(0.0, 0.0, e)[2] - 0.02,
            center=f(0.0, 1.5, 0.0),
            night=emission((255, 190, 60), 1.8),
            day=0.25,
        )
    arm = [f(-0.03, 3.3, 0.4), f(0.03, 3.3, 0.4), f(0.03, 4.6, 1.6), f(-0.03, 4.6, 1.6)]
    mesh.add(arm, TRAIN, (60, 60, 62), key=f(0.0, 0.0, 0.5)[2])
    _finish(mesh, f, TRAIN, length, width, 3.3, 0.75, lights, rng)


def truck(mesh: Mesh, rng: Rng, x: float, z: float, heading: float, *, lights: bool) -> None:
    """A delivery truck: a cab and a box body with a stripe."""
    f, width = Frame(x, z, heading), 2.4
    box, cab = rng.uniform(4.4, 6.2), 1.9
    length = box + cab + 0.3
    back = Frame(*_move(f, -length / 2 + box / 2), heading)
    front = Frame(*_move(f, length / 2 - cab / 2), heading)
    body = pick(
        rng, ((226, 226, 222), (206, 196, 172), (90, 110, 140), (196, 84, 44), (84, 120, 92)), 8.0
    )
    paint = jitter_color(pick(rng, PAINTS), rng, 6.0)
    order = (front, back) if math.cos(heading) > 0 else (back, front)
    for part in order:
        if part is back:
            _body(mesh, f, TRUCK, length - 0.4, width * 0.9, 0.3, 0.8, (40, 42, 44), 0, TYRE, ())
            _body(mesh, back, TRUCK, box, width, 0.75, 3.3, body, 0, TYRE, ())
            for s in (-1.0, 1.0):
                a, b, w = -box / 2 + 0.4, box / 2 - 0.4, s * (width / 2 + 0.005)
                stripe = [back(w, 1.6, a), back(w, 1.6, b), back(w, 2.3, b), back(w, 2.3, a)]
                mesh.add(
                    stripe,
                    TRUCK,
                    paint,
                    key=back(0.0, 0.0, 0.0)[2] - 0.5 * box,
                    center=back(0.0, 2.0, 0.0),
                )
            e, key = -box / 2, back(0.0, 0.0, -box / 2)[2] - 0.02
            for a, b in ((-1.08, -0.04), (0.04, 1.08)):
                door = [back(a, 0.85, e), back(b, 0.85, e), back(b, 3.2, e), back(a, 3.2, e)]
                mesh.add(door, TRUCK, shade(body, 0.86), key=key, center=back(0.0, 2.0, 0.0))
        else:
            _body(mesh, front, TRUCK, cab, width * 0.96, 0.35, 2.6, paint, 0, TYRE, ())
            _windscreen(mesh, front, TRUCK, width * 0.96, 1.5, 2.4, cab / 2, (0.0, 0.0, 0.0))
            for s in (-1.0, 1.0):
                w = s * (width * 0.48 + 0.005)
                pane = [
                    front(w, 1.55, -0.3),
                    front(w, 1.55, 0.75),
                    front(w, 2.3, 0.65),
                    front(w, 2.3, -0.3),
                ]
                mesh.add(
                    pane,
                    TRUCK,
                    PANE,
                    key=front(0.0, 0.0, 0.0)[2] - cab / 2,
                    kind=GLASS,
                    center=front(0.0, 2.0, 0.0),
                )
    _wheels(mesh, f, TRUCK, width, (-length / 2 + 1.1, length / 2 - 1.2))
    _finish(mesh, f, TRUCK, length, width, 3.3, 0.6, lights, rng)


def _move(f: Frame, ahead: float) -> tuple[float, float]:
    p = f(0.0, 0.0, ahead)
    return p[0], p[2]


def _finish(
    mesh: Mesh,
    f: Frame,
    label: int,
    length: float,
    width: float,
    height: float,
    y: float,
    on: bool,
    rng: Rng,
) -> None:
    """Lamps and shadow of a long vehicle; its lamps are painted with its near end."""
    near = min(f(0.0, 0.0, e)[2] for e in (-length / 2, length / 2))
    lamps(
        mesh,
        f,
        label,
        width / 2,
        y,
        length / 2,
        -length / 2,
        near - 0.03,
        on,
        bool(rng.random() < 0.4),
        f(0.0, y, 0.0),
        0.26,
    )
    mesh.casters.append((footprint(f, length, width), height, True))
