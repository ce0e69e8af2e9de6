"""Radiance of a scene: sun, sky, shadows and haze by day; lamps, windows, skyglow by night."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from .geometry import SKY_ID, Camera, GBuffer, Mesh
from .street import Street
from .texture import Surface, noise
from .world import FloatArray, to_linear

F32 = np.float32
MAP_X, MAP_Z0, MAP_Z1, CELL = 26.0, -4.0, 92.0, 0.16
MAX_LIGHTS = 22


@dataclass
class Sky:
    """Weather of a frame.

    Attributes:
        sun: Unit vector to the sun.
        strength: Direct light relative to a clear day.
        clouds: Cloud cover, 0..1.
        haze: Distance in metres at which haze takes 63 % of the contrast.
        drift: Offset of the cloud texture.
    """

    sun: tuple[float, float, float]
    strength: float
    clouds: float
    haze: float
    drift: float


def make_sky(rng: np.random.Generator) -> Sky:
    """Draw the weather."""
    azimuth, elevation = rng.uniform(0, 2 * math.pi), math.radians(rng.uniform(22, 58))
    sun = (
        math.cos(elevation) * math.sin(azimuth),
        math.sin(elevation),
        math.cos(elevation) * math.cos(azimuth),
    )
    overcast = rng.random() < 0.4
    strength = rng.uniform(0.0, 0.35) if overcast else rng.uniform(0.7, 1.5)
    clouds = rng.uniform(0.7, 1.0) if overcast else rng.uniform(0.0, 0.6)
    return Sky(
        sun,
        float(strength),
        float(clouds),
        float(rng.uniform(250, 700)),
        float(rng.uniform(0, 200)),
    )


def ground_maps(mesh: Mesh, sky: Sky | None) -> FloatArray:
    """Bird's-eye maps (3, Z, X): sun shadow of everything, of houses alone, contact; 1 is dark."""
    shape = (int((MAP_Z1 - MAP_Z0) / CELL), int(2 * MAP_X / CELL))
    maps = np.zeros((3, *shape), F32)

    def fill(plane: FloatArray, points: npt.NDArray[Any]) -> None:
        xy = np.stack([(points[:, 0] + MAP_X) / CELL, (points[:, 1] - MAP_Z0) / CELL], 1)
        hull = cv2.convexHull(np.round(xy.clip(-4000, 4000)).astype(np.int32))
        cv2.fillConvexPoly(plane, hull, 1.0)

    for corners, height, contact in mesh.casters:
        base = np.asarray(corners)
        if contact:
            fill(maps[2], base)
        if sky is not None and sky.strength > 0.05:
            reach = height / sky.sun[1]
            shifted = base - np.array([sky.sun[0], sky.sun[2]]) * reach
            fill(maps[0], np.concatenate([base, shifted]))
            if len(corners) == 4 and not contact:
                fill(maps[1], np.concatenate([base, shifted]))
    maps[0] = cv2.GaussianBlur(maps[0], (0, 0), 1.2)
    maps[1] = cv2.GaussianBlur(maps[1], (0, 0), 1.5)
    maps[2] = cv2.GaussianBlur(maps[2], (0, 0), 2.0)
    return maps


def look_up(plane: FloatArray, x: FloatArray, z: FloatArray) -> FloatArray:
    """Values (N,) of a bird's-eye map at (x, z); 0 outside."""
    i = ((z - F32(MAP_Z0)) * F32(1 / CELL)).astype(np.int32)
    j = ((x + F32(MAP_X)) * F32(1 / CELL)).astype(np.int32)
    inside = (i >= 0) & (i < plane.shape[0]) & (j >= 0) & (j < plane.shape[1])
    i[~inside], j[~inside] = 0, 0
    return np.where(inside, plane[i, j], F32(0.0))


def _sky_color(street: Street, rays: FloatArray, sky: Sky) -> FloatArray:
    world = street.world
    length = np.sqrt(rays[0] ** 2 + rays[1] ** 2 + rays[2] ** 2)
    up = np.clip(rays[1] / length, F32(0.0), F32(1.0))
    top, low = to_linear(world.sky_top), to_linear(world.sky_low)
    blend = np.sqrt(np.minimum(up * F32(1.6), F32(1.0)))
    color = low[:, None] + (top - low)[:, None] * blend
    plane = F32(1.0) / (up + F32(0.12))
    u, v = rays[0] / length * plane * 14 + F32(sky.drift), rays[2] / length * plane * 14
    cover = np.clip(
        noise(u, v, 1.0, 0) * F32(0.35)
        + F32(0.1 * 3) * noise(u, v, 4.0, 1) * F32(0.4)
        + F32(sky.clouds * 1.6 - 0.5),
        0,
        1,
    )
    cloud = np.array([0.82, 0.83, 0.85], F32) * F32(0.7 + 0.25 * min(sky.strength, 1.0))
    return (color + (cloud[:, None] - color) * cover * F32(0.9)) * F32(1.25)


def mirrored_sky(normal: FloatArray, rays: FloatArray) -> FloatArray:
    """How much sky a mirror at each pixel sees (N,).

    Panes above the eye and slanted screens see it, low upright ones do not.
    """
    dot = (normal[0] * rays[0] + normal[1] * rays[1] + normal[2] * rays[2]) * F32(2.0)
    length = np.sqrt(rays[0] ** 2 + rays[1] ** 2 + rays[2] ** 2)
    up = (rays[1] - dot * normal[1]) / length
    return F32(0.1) + F32(0.75) * np.clip(up * F32(2.2) + F32(0.05), F32(0.0), F32(1.0))


def skylight(
    position: FloatArray, normal: FloatArray, on_ground: npt.NDArray[np.bool_], contact: FloatArray
) -> FloatArray:
    """Irradiance (N,) of a sky of radiance 1: less near the foot of things and under them."""
    return (
        (F32(0.62) + F32(0.38) * normal[1])
        * (
            F32(0.62)
            + F32(0.38) * np.clip(position[1] / F32(3.0), 0, 1) * (~on_ground)
            + F32(0.34) * on_ground
        )
        * contact
    )


def day_radiance(
    mesh: Mesh, street: Street, g: GBuffer, s: Surface, rays: FloatArray, sky: Sky
) -> FloatArray:
    """Linear radiance (3, N) by day."""
    maps = ground_maps(mesh, sky)
    normal, position = g.normal, g.position
    sun_color = to_linear(street.world.sun)
    dot = normal[0] * F32(sky.sun[0]) + normal[1] * F32(sky.sun[1]) + normal[2] * F32(sky.sun[2])
    x = position[0] - position[1] * F32(sky.sun[0] / sky.sun[1])
    z = position[2] - position[1] * F32(sky.sun[2] / sky.sun[1])
    on_ground = position[1] < 0.02
    shadow = np.where(on_ground, look_up(maps[0], position[0], position[2]), look_up(maps[1], x, z))
    shadow = np.where((np.abs(normal[1]) < 0.01) & (position[1] > 3.2), F32(0.0), shadow)
    direct = np.maximum(dot, F32(0.0)) * (F32(1.0) - shadow) * F32(sky.strength * 1.35)
    contact = F32(1.0) - F32(0.75) * np.where(
        on_ground, look_up(maps[2], position[0], position[2]), F32(0.0)
    )
    dome = skylight(position, normal, on_ground, contact)
    tint = np.array([0.96, 1.0, 1.06], F32)
    light = sun_color[:, None] * direct + tint[:, None] * dome * F32(0.85)
    low = to_linear(street.world.sky_low)
    out = s.albedo * light + low[:, None] * (s.gloss * mirrored_sky(normal, rays))
    haze = F32(1.0) - np.exp(-g.depth * F32(1.0 / sky.haze))
    out += (low[:, None] * F32(0.9) - out) * haze
    is_sky = g.ids == SKY_ID
    out[:, is_sky] = _sky_color(street, rays[:, is_sky], sky)
    return out


def night_radiance(
    mesh: Mesh,
    street: Street,
    g: GBuffer,
    s: Surface,
    rays: FloatArray,
    camera: Camera,
    sky: Sky,
    rng: np.random.Generator,
) -> FloatArray:
    """Linear radiance (3, N) by night.

    Skyglow, point lights with distance falloff, the ego headlights, and what glows by itself.
    """
    maps = ground_maps(mesh, None)
    position, normal = g.position, g.normal
    contact = F32(1.0) - F32(0.85) * np.where(
        position[1] < 0.02, look_up(maps[2], position[0], position[2]), F32(0.0)
    )
    glow = np.array([0.11, 0.105, 0.108], F32) * F32(rng.uniform(0.5, 1.1))
    light = np.empty_like(position)
    light[:] = glow[:, None] * (F32(0.7) + F32(0.3) * normal[1])
    for lamp in nearest_lights(mesh, camera):
        add_light(light, position, normal, lamp.position, lamp.intensity, lamp.down)
    headlights(light, g, s, camera)
    out = s.albedo * light * contact
    out += s.emission
    low = np.array([0.030, 0.022, 0.018], F32) * F32(rng.uniform(0.4, 1.6))
    haze = F32(1.0) - np.exp(-g.depth * F32(1.0 / 420.0))
    out += (low[:, None] - out) * haze * (s.emission[0] < 0.5)
    is_sky = g.ids == SKY_ID
    r = rays[:, is_sky]
    up = np.clip(r[1] / np.sqrt((r**2).sum(0)), 0, 1)
    plane = F32(1.0) / (up + F32(0.12))
    clouds = np.clip(
        F32(1.0)
        + F32(0.5 * sky.clouds) * noise(r[0] * plane * 14 + F32(sky.drift), plane * 14, 1.0, 0),
        0.3,
        2,
    )
    top = np.array([0.006, 0.007, 0.011], F32)
    out[:, is_sky] = (top[:, None] + (low - top)[:, None] * np.exp(-up * F32(3.2))) * clouds
    return out


def nearest_lights(mesh: Mesh, camera: Camera) -> list[Any]:
    """The lights that matter most to the view."""

    def weight(lamp: Any) -> float:
        dz = lamp.position[2] - camera.z
        distance = (dz - 4) ** 2 + 0.3 * (lamp.position[0] - camera.x) ** 2 + 30
        return -sum(lamp.intensity) / distance * (0.3 if dz < -8 else 1.0)

    return sorted(mesh.lights, key=weight)[:MAX_LIGHTS]


def add_light(
    light: FloatArray, position: FloatArray, normal: FloatArray, at: Any, intensity: Any, down: bool
) -> None:
    """Add the irradiance of a point light, intensity * cos / distance**2, softened nearby."""
    dx, dy, dz = F32(at[0]) - position[0], F32(at[1]) - position[1], F32(at[2]) - position[2]
    d2 = dx * dx
    d2 += dy * dy
    d2 += dz * dz
    d2 += F32(0.3)
    inverse = F32(1.0) / np.sqrt(d2)
    cosine = dx * normal[0]
    cosine += dy * normal[1]
    cosine += dz * normal[2]
    cosine *= inverse
    np.maximum(cosine, F32(0.0), out=cosine)
    cosine += F32(0.03)  # light that comes round by way of the surroundings
    if down:  # luminaires shine downwards: full below, little above the horizontal
        cosine *= np.clip(dy * inverse * F32(1.5) + F32(0.22), F32(0.06), F32(1.0))
    cosine *= inverse * inverse
    for c in range(3):
        light[c] += cosine * F32(intensity[c])


def headlights(
    light: FloatArray, g: GBuffer, s: Surface, camera: Camera, strength: float = 1.0
) -> None:
    """Low beam of the ego car: a fan with a cut-off above the horizontal; signs throw it back."""
    for side in (-0.6, 0.6):
        x, y, z = camera.x + side * math.cos(camera.yaw), 0.65, camera.z + 1.2
        dx, dy, dz = g.position[0] - F32(x), g.position[1] - F32(y), g.position[2] - F32(z)
        d2 = dx * dx + dy * dy + dz * dz + F32(0.6)
        inverse = F32(1.0) / np.sqrt(d2)
        cosine = -(dx * g.normal[0] + dy * g.normal[1] + dz * g.normal[2]) * inverse
        ahead = dz * F32(math.cos(camera.yaw)) + dx * F32(math.sin(camera.yaw))
        sideways = (dx * F32(math.cos(camera.yaw)) - dz * F32(math.sin(camera.yaw))) / np.maximum(
            ahead, F32(0.3)
        )
        rise = dy / np.maximum(ahead, F32(0.3))
        beam = np.exp(-((sideways / F32(0.42)) ** 2)) * (ahead > 0)
        beam *= F32(0.05) + F32(0.95) / (
            F32(1.0) + np.exp(np.clip((rise - F32(0.005)) * F32(70.0), -30, 30))
        )
        power = beam * (np.maximum(cosine, F32(0.0)) + F32(0.04)) / d2 * F32(65.0 * strength)
        power += s.retro * beam * F32(600.0 * strength) / d2
        for c, tint in enumerate((1.0, 0.9, 0.74)):
            light[c] += power * F32(tint)
