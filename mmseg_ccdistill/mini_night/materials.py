"""Procedural surfaces: albedo, night emission, gloss and bent normals from texture coordinates."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from .geometry import (
    BRICK,
    COACH,
    FACADE,
    FLAT,
    GLASS,
    GROUND_ID,
    HEDGE,
    LATTICE,
    LEAF,
    RETRO,
    ROUND,
    TILES,
    WHEEL,
    GBuffer,
    Table,
)
from .ground import paint_ground
from .street import Street
from .texture import F32, Surface, detail, hash01, noise
from .world import (
    FloatArray,
    to_linear,
)

Mask = npt.NDArray[np.bool_]


def gaps(table: Table, g: GBuffer) -> Mask:
    """Where a see-through polygon lets the scene behind it be seen, (N,)."""
    kind, p = table['kind'][g.ids], table['params'][g.ids]
    u, v = g.uv
    out = np.zeros(len(g.ids), bool)
    r = np.hypot(u, v) / np.maximum(p[:, 0], F32(1e-3))
    lattice = kind == LATTICE
    pitch, bar, height = np.maximum(p[:, 0], F32(1e-3)), p[:, 1], p[:, 2]
    far = g.depth * F32(1 / 330) > pitch  # bars finer than a pixel: let every other pixel through
    bars = np.mod(u, pitch) / pitch < bar
    rails = (np.abs(v - height * F32(0.16)) < 0.06) | (np.abs(v - height * F32(0.86)) < 0.07)
    out[lattice] = (~(bars | rails) & ~far)[lattice]
    wheel = kind == WHEEL
    spoke = np.abs(np.mod(np.arctan2(v, u) * F32(8 / np.pi), F32(1.0)) - F32(0.5)) < 0.14
    solid = (
        (r > F32(0.8))
        | (r < F32(0.14))
        | spoke & (g.depth < 14)
        | (p[:, 1] > 0) & ((r > F32(0.62)) | (r < F32(0.4)))
    )
    out[wheel] = ~solid[wheel]
    return out


def shade_surface(
    table: Table, g: GBuffer, street: Street, labels: npt.NDArray[np.uint8]
) -> Surface:
    """Evaluate the materials of all pixels, label the ground and bend the normals of round things.

    Args:
        table: Per-polygon tables.
        g: Geometry of the pixels; ``g.normal`` is modified.
        street: The street, for the ground's cross-section.
        labels: Train ids (N,) of the polygons; ground pixels are filled in.

    Returns:
        The surfaces.
    """
    n = len(g.ids)
    linear = to_linear(table['color'])
    albedo = np.ascontiguousarray(linear[g.ids].T)
    emission = np.ascontiguousarray(table['night'][g.ids].T)
    surface = Surface(albedo, emission, np.zeros(n, F32), np.zeros(n, F32))
    kinds = table['kind'][g.ids]
    paint_ground(np.flatnonzero(g.ids == GROUND_ID), g, street, surface, labels)
    for kind, paint in _PAINTERS.items():
        index = np.flatnonzero(kinds == kind)
        if len(index):
            paint(index, table, g, surface)
    return surface


def _facade(index: npt.NDArray[Any], table: Table, g: GBuffer, s: Surface) -> None:
    ids = g.ids[index]
    p = table['params'][ids].T
    u, v = g.uv[0][index], g.uv[1][index]
    pitch, width, height, storey, ground, style, lit, seed = p
    style = style.astype(np.int32)
    brick, shutter, shop, blind = (style & 1) > 0, (style & 2) > 0, (style & 4) > 0, (style & 8) > 0
    base = to_linear(table['color'])[ids].T
    trim = to_linear(table['color2'])[ids].T
    col = np.floor(u / pitch).astype(np.int32)
    row = np.where(v < ground, 0, 1 + np.floor((v - ground) / storey)).astype(np.int32)
    fu = u - (col + F32(0.5)) * pitch
    fv = np.where(row == 0, v, v - ground - (row - 1) * storey)
    fade = detail(g, index, 16.0)
    wall = F32(1.0) + F32(0.06) * noise(u, v, 3.0, 1) + F32(0.05) * noise(u, v, 20.0, 2) * fade
    wall -= F32(0.1) * np.clip(F32(1.0) - v / F32(1.2), 0, 1)
    course = np.floor(v / F32(0.15))
    mortar = (np.mod(v, F32(0.15)) < 0.03) | (
        np.mod(u + (course % 2) * F32(0.17), F32(0.34)) < 0.03
    )
    wall = np.where(brick, wall * (F32(1.0) + F32(0.5) * mortar * detail(g, index, 22.0)), wall)
    color = base * wall
    cell = hash01(col, row, seed)
    cell2 = hash01(col, row, seed + 911)
    door = (row == 0) & ~shop & ~blind & (hash01(col, row * 0 + 7, seed) < 0.28)
    half_w = np.where(door, F32(0.6), width / 2)
    bottom = np.where(row == 0, F32(0.9), F32(0.75))
    bottom = np.where(door, F32(0.0), bottom)
    top = np.where(door, F32(2.3), bottom + height)
    inside = (np.abs(fu) < half_w) & (fv > bottom) & (fv < top)
    band = shop & (row == 0)
    inside = np.where(
        band, (np.abs(fu) < pitch * F32(0.46)) & (v > 0.45) & (v < ground - F32(1.0)), inside
    )
    present = ~blind | (cell2 < 0.25) & (row > 0)
    inside &= present
    frame = (
        (np.abs(fu) < half_w + F32(0.16))
        & (fv > bottom - F32(0.16))
        & (fv < top + F32(0.16))
        & ~band
        & present
    )
    color = np.where(frame, trim * F32(0.92), color)
    shut = (
        shutter
        & (np.abs(fu) > half_w)
        & (np.abs(fu) < half_w + F32(0.42))
        & (fv > bottom)
        & (fv < top)
        & ~band
        & (row > 0)
    )
    shut &= present
    slats = F32(0.8) + F32(0.3) * (np.mod(v, F32(0.12)) < 0.06) * fade
    tint = to_linear(
        np.array([[52, 84, 62], [66, 92, 108], [112, 60, 50], [86, 82, 76]], np.float32)
    )
    color = np.where(shut, tint[seed.astype(np.int32) % 4].T * slats, color)
    ledge = (row > 0) & (fv < 0.14) | (row == 0) & (v > ground - F32(0.22))
    color = np.where(ledge & ~blind, trim * F32(0.85), color)
    glass = inside & ~door
    bars = (
        glass & ~band & ((np.abs(fu) < 0.045) | (np.abs(fv - bottom - height * F32(0.66)) < 0.04))
    )
    pane = np.stack(
        [
            F32(0.035) + F32(0.05) * cell,
            F32(0.045) + F32(0.06) * cell,
            F32(0.055) + F32(0.07) * cell,
        ]
    )
    curtain = glass & ~band & (cell2 > 0.72) & (np.abs(fu) > half_w * F32(0.45))
    goods = band & glass & (v < F32(1.5) + F32(0.5) * cell) & (noise(u, v, 5.0, 1) > 0.0)
    color = np.where(glass, pane, color)
    color = np.where(curtain | bars, F32(0.5), color)
    color = np.where(
        goods,
        np.stack(
            [F32(0.12) + F32(0.3) * cell, F32(0.26) - F32(0.2) * cell, F32(0.1) + F32(0.15) * cell2]
        ),
        color,
    )
    color = np.where(
        door & inside,
        np.stack(
            [F32(0.1) + F32(0.1) * cell2, F32(0.06) + F32(0.05) * cell2, F32(0.05) + cell2 * 0]
        ),
        color,
    )
    s.albedo[:, index] = color
    s.gloss[index] = np.where(glass & ~curtain & ~bars, F32(0.55), F32(0.0))
    on = np.where(band, hash01(col // 4, row, seed + 5) < 0.65, cell < lit) & glass & ~bars
    warm = np.stack(
        [F32(1.0) + cell2 * 0, F32(0.72) + F32(0.2) * cell2, F32(0.34) + F32(0.4) * cell2]
    )
    level = np.where(band, F32(1.1), F32(0.16) + F32(0.75) * cell2 * cell2) * np.where(
        curtain, F32(0.6), F32(1.0)
    )
    level = (
        level
        * (F32(0.8) + F32(0.3) * noise(u, v, 6.0, 1).clip(-1, 1))
        * np.where(goods, F32(0.5), F32(1.0))
    )
    s.emission[:, index] += np.where(on, warm * level, F32(0.0))


def _brick(index: npt.NDArray[Any], table: Table, g: GBuffer, s: Surface) -> None:
    ids = g.ids[index]
    p = table['params'][ids].T
    u, v = g.uv[0][index], g.uv[1][index]
    fade = detail(g, index, 14.0)
    course = np.floor(v / p[2])
    cell = hash01(
        np.floor((u + (course % 2) * p[1] / 2) / p[1]).astype(np.int32), course.astype(np.int32), 3
    )
    mortar = (np.mod(v, p[2]) < 0.03) | (np.mod(u + (course % 2) * p[1] / 2, p[1]) < 0.03)
    blocks = F32(0.8) + F32(0.35) * cell - F32(0.3) * mortar
    panel = F32(1.0) - F32(0.25) * (np.mod(u, F32(2.4)) < 0.08)
    tone = np.where(p[0] > 0, F32(1.0) + (blocks - F32(1.0)) * fade, panel)
    tone = tone + F32(0.08) * noise(u, v, 4.0, 1) - F32(0.2) * np.clip(F32(1) - v / F32(0.5), 0, 1)
    s.albedo[:, index] *= tone


def _leaf(index: npt.NDArray[Any], table: Table, g: GBuffer, s: Surface) -> None:
    radius = np.maximum(table['params'][g.ids[index], 0], F32(1e-3))
    u, v = g.uv[0][index], g.uv[1][index]
    du, dv = np.clip(u / radius, -1, 1), np.clip(v / radius, -1, 1)
    clump = noise(u, v, 5.0, 1) * F32(0.22) + noise(u, v, 16.0, 2) * F32(0.2) * detail(
        g, index, 16.0
    )
    s.albedo[:, index] *= np.clip(F32(0.95) + clump + F32(0.2) * dv, 0.25, 2.0)
    nz = -np.sqrt(np.maximum(F32(1.0) - du * du - dv * dv, F32(0.04)))
    _set_normal(g, index, du, dv * F32(0.8) + F32(0.25), nz)


def _hedge(index: npt.NDArray[Any], table: Table, g: GBuffer, s: Surface) -> None:
    u, v = g.uv[0][index], g.uv[1][index]
    clump = noise(u, v, 7.0, 1) * F32(0.22) + noise(u, v, 20.0, 2) * F32(0.24) * detail(
        g, index, 20.0
    )
    s.albedo[:, index] *= np.clip(F32(0.85) + clump + F32(0.15) * v, 0.25, 2.0)


def _lattice(index: npt.NDArray[Any], table: Table, g: GBuffer, s: Surface) -> None:
    u = g.uv[0][index]
    s.albedo[:, index] *= F32(0.85) + F32(0.3) * hash01(
        np.floor(u / F32(0.24)).astype(np.int32), g.ids[index], 1
    )


def _coach(index: npt.NDArray[Any], table: Table, g: GBuffer, s: Surface) -> None:
    """Side of a bus or tram: a band of windows between posts, doors, lit from inside at night."""
    ids = g.ids[index]
    p = table['params'][ids].T
    u, v = g.uv[0][index], g.uv[1][index]
    pane = (np.mod(u, p[0]) > p[3]) & (v > p[1]) & (v < p[2])
    door = (
        (hash01(np.floor(u / p[0]).astype(np.int32), ids * 0, 17) < 0.22)
        & (v > 0.5)
        & (v < p[2])
        & (np.mod(u, p[0]) > p[3])
    )
    glass = pane | door
    color = s.albedo[:, index]
    color = color * (F32(1.0) - F32(0.25) * (np.abs(v - p[1] + F32(0.3)) < 0.04))
    dark = to_linear(table['color2'])[ids].T
    s.albedo[:, index] = np.where(glass, dark, color)
    s.gloss[index] = np.where(glass, F32(0.5), F32(0.12))
    riders = (noise(u, v, 4.0, 1) > 0.6) & (v < p[2] - F32(0.35))
    s.emission[:, index] *= np.where(glass, np.where(riders, F32(0.35), F32(1.0)), F32(0.0))


def _glass(index: npt.NDArray[Any], table: Table, g: GBuffer, s: Surface) -> None:
    u, v = g.uv[0][index], g.uv[1][index]
    s.albedo[:, index] *= F32(0.7) + F32(0.5) * (noise(u, v, 5.0, 1) > 0.5)
    s.gloss[index] = 0.5


def _tiles(index: npt.NDArray[Any], table: Table, g: GBuffer, s: Surface) -> None:
    u, v = g.uv[0][index], g.uv[1][index]
    rows = np.mod(v, F32(0.34)) < 0.1
    s.albedo[:, index] *= (
        F32(1.0) - F32(0.25) * rows * detail(g, index, 8.0) + F32(0.12) * noise(u, v, 3.0, 1)
    )


def _round(index: npt.NDArray[Any], table: Table, g: GBuffer, s: Surface) -> None:
    """Poles, trunks and limbs are shaded as upright cylinders of the radius in params[0]."""
    radius = np.maximum(table['params'][g.ids[index], 0], F32(1e-3))
    du = np.clip(g.uv[0][index] / radius, -0.95, 0.95)
    _set_normal(g, index, du, F32(0.1) + du * 0, -np.sqrt(F32(1.0) - du * du))


def _retro(index: npt.NDArray[Any], table: Table, g: GBuffer, s: Surface) -> None:
    s.retro[index] = 1.0


def _flat(index: npt.NDArray[Any], table: Table, g: GBuffer, s: Surface) -> None:
    s.gloss[index] = 0.12


def _set_normal(
    g: GBuffer, index: npt.NDArray[Any], x: FloatArray, y: FloatArray, z: FloatArray
) -> None:
    norm = F32(1.0) / np.sqrt(x * x + y * y + z * z)
    g.normal[0][index], g.normal[1][index], g.normal[2][index] = x * norm, y * norm, z * norm


_PAINTERS = {
    FACADE: _facade,
    BRICK: _brick,
    LEAF: _leaf,
    HEDGE: _hedge,
    LATTICE: _lattice,
    COACH: _coach,
    GLASS: _glass,
    TILES: _tiles,
    ROUND: _round,
    RETRO: _retro,
    FLAT: _flat,
}
