"""The ground: carriageway with its markings, pavements, grass, tracks."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from .geometry import (
    GBuffer,
)
from .street import LOT_GROUND, Street, ground_zones
from .texture import F32, Surface, detail, hash01, noise
from .world import (
    to_linear,
)


def paint_ground(
    index: npt.NDArray[Any], g: GBuffer, street: Street, s: Surface, labels: npt.NDArray[np.uint8]
) -> None:
    """Label and colour the ground.

    Args:
        index: Indices (M,) of the ground pixels.
        g: Geometry of all pixels.
        street: The street.
        s: Surfaces; written at ``index``.
        labels: Train ids (N,); written at ``index``.
    """
    world = street.world
    x, z = g.position[0][index], g.position[2][index]
    t = x - F32(0.5 * street.bend) * np.maximum(z, 0) ** 2
    edges, zone_labels, zone_codes = ground_zones(street)
    zone = np.searchsorted(np.asarray(edges, F32), t)
    label, code = np.asarray(zone_labels)[zone], np.asarray(zone_codes)[zone]
    for side, border in ((street.sides[0], edges[0]), (street.sides[1], edges[-1])):
        stops = np.asarray([a for a, _, _ in side.lots] + [side.lots[-1][1]], F32)
        lot = np.clip(np.searchsorted(stops, z, side='right') - 1, 0, len(side.lots) - 1)
        kind = np.asarray([k for _, _, k in side.lots])[lot]
        kind[z > stops[-1]] = 0
        outside = (t > border) if side.sign > 0 else (t < border)
        label = np.where(outside, np.asarray([q[0] for q in LOT_GROUND])[kind], label)
        code = np.where(outside, np.asarray([q[1] for q in LOT_GROUND])[kind], code)
        crossing = (kind == 4) & (np.abs(t) > street.half) & (np.sign(t) == side.sign)
        label[crossing], code[crossing] = 0, 0
        drive = (kind == 0) & (label == 9) & outside
        label[drive], code[drive] = 1, 1
    labels[index] = label.astype(np.uint8)

    fine, coarse = noise(x, z, 24.0, 2), noise(x, z, 3.0, 1)
    fade = detail(g, index, 24.0)
    asphalt, paving = to_linear(world.asphalt), to_linear(world.paving)
    grass, marking = to_linear(world.grass), to_linear(world.marking)
    tone = F32(1.0) + F32(0.16) * fine * fade + F32(0.09) * coarse
    color = asphalt[:, None] * tone
    walk = code == 1
    a, b = world.paving_size
    joint = (np.mod(t, F32(a)) < 0.035) | (
        np.mod(z + (np.floor(t / F32(a)) % 2) * F32(b / 2), F32(b)) < 0.035
    )
    slab = hash01(
        np.floor(t / F32(a)).astype(np.int32), np.floor(z / F32(b)).astype(np.int32), street.seed
    )
    stone = (
        F32(0.9)
        + F32(0.2) * slab * fade
        + F32(0.08) * coarse
        - F32(0.3) * joint * detail(g, index, 14.0)
    )
    color = np.where(walk, paving[:, None] * stone, color)
    blades = (
        F32(1.0)
        + F32(0.4) * noise(x * F32(2.0), z, 14.0, 2) * fade
        + F32(0.18) * noise(x, z, 1.7, 1)
    )
    color = np.where(code == 2, grass[:, None] * np.clip(blades, 0.3, 2.0), color)
    half = F32(street.half)
    road = (code == 0) & (np.abs(t) < half)
    kerb = (np.abs(np.abs(t) - half) < 0.14) & (label != 0)
    color = np.where(kerb, paving[:, None] * F32(1.25), color)

    cut = np.zeros(len(index), bool)
    for side in street.sides:
        for start, stop, kind_of_lot in side.lots:
            if kind_of_lot == 4:
                cut |= (z > start) & (z < stop)
    worn = coarse < 1.4
    lines = np.zeros(len(index), bool)
    if not street.tracks:
        middle = F32(-(street.parking[1] * 2.1 - street.parking[0] * 2.1) / 2)
        lines |= (np.abs(t - middle) < 0.09) & (np.mod(z, F32(9.0)) < 5.0)
    for i, sign in enumerate((-1.0, 1.0)):
        if street.parking[i]:
            lines |= np.abs(t * F32(sign) - (half - F32(2.15))) < 0.07
            strip = (t * F32(sign) > half - F32(2.15)) & road
            color = np.where(strip, color * F32(0.88), color)
        else:
            lines |= np.abs(t * F32(sign) - (half - F32(0.35))) < 0.07
    lines &= ~cut
    if street.crossing > 0:
        zebra = (np.abs(z - F32(street.crossing)) < 1.6) & (np.mod(t + F32(0.25), F32(1.1)) < 0.55)
        stop_line = (np.abs(z - F32(street.crossing - 3.0)) < 0.18) & (t > 0)
        lines = np.where(np.abs(z - F32(street.crossing)) < 3.2, zebra | stop_line, lines)
    color = np.where(
        road & lines & worn, marking[:, None] * (F32(0.85) + F32(0.1) * fine * fade), color
    )
    for track in street.tracks:
        bed = np.abs(t - F32(track)) < 1.15
        color = np.where(road & bed, color * F32(1.22), color)
        rail = np.abs(np.abs(t - F32(track)) - F32(0.72)) < 0.06
        color = np.where(road & rail, F32(0.06), color)
        s.gloss[index[road & rail]] = 0.5
    s.albedo[:, index] = color
