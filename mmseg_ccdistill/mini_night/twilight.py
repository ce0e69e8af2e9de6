"""Twilight: the sun just below the horizon, blue light from the whole sky, lamps and windows on."""

from __future__ import annotations

import math

import numpy as np

from .geometry import SKY_ID, Camera, GBuffer, Mesh
from .lighting import (
    Sky,
    add_light,
    ground_maps,
    headlights,
    look_up,
    mirrored_sky,
    nearest_lights,
    skylight,
)
from .texture import F32, Surface, noise
from .world import FloatArray

#: Linear RGB of the sky after sunset: overhead, at the horizon, and what is added where the sun went down.
TOP, LOW, SUNSET = (0.12, 0.25, 0.62), (0.46, 0.58, 0.84), (0.75, 0.30, 0.02)


def twilight_radiance(
    mesh: Mesh,
    g: GBuffer,
    s: Surface,
    rays: FloatArray,
    camera: Camera,
    sky: Sky,
    rng: np.random.Generator,
) -> FloatArray:
    """Linear radiance (3, N) in civil twilight.

    Args:
        mesh: The scene, lamps on.
        g: Geometry of the pixels.
        s: Surfaces.
        rays: Directions of the pixels (3, N).
        camera: The view.
        sky: Weather; the sun has set in its direction.
        rng: How dark it is.

    Returns:
        The radiance.
    """
    position, normal = g.position, g.normal
    level = F32(rng.uniform(0.4, 1.3))
    on_ground = position[1] < 0.02
    contact = F32(1.0) - F32(0.7) * np.where(
        on_ground, look_up(ground_maps(mesh, None)[2], position[0], position[2]), F32(0.0)
    )
    blue = np.array([0.5, 0.7, 1.12], F32) * level
    light = blue[:, None] * skylight(position, normal, on_ground, contact)
    lamps = np.zeros_like(light)
    for lamp in nearest_lights(mesh, camera):
        add_light(lamps, position, normal, lamp.position, lamp.intensity, lamp.down)
    headlights(lamps, g, s, camera, 0.6)
    light += lamps * F32(0.35) * contact
    low = np.asarray(LOW, F32) * level
    out = s.albedo * light + s.emission * F32(0.8)
    out += low[:, None] * (s.gloss * mirrored_sky(normal, rays))
    haze = F32(1.0) - np.exp(-g.depth * F32(1.0 / sky.haze))
    out += (low[:, None] * F32(0.8) - out) * haze * (s.emission[0] < 0.5)
    is_sky = g.ids == SKY_ID
    out[:, is_sky] = _sky_color(rays[:, is_sky], sky) * level
    return out


def _sky_color(rays: FloatArray, sky: Sky) -> FloatArray:
    """Blue overhead, pale at the horizon, warm where the sun went down, with dark clouds."""
    unit = rays / np.sqrt((rays**2).sum(0))
    up = np.clip(unit[1], F32(0.0), F32(1.0))
    top, low = np.asarray(TOP, F32), np.asarray(LOW, F32)
    color = top[:, None] + (low - top)[:, None] * np.exp(-up * F32(3.5))
    azimuth = math.hypot(sky.sun[0], sky.sun[2])
    toward = (unit[0] * F32(sky.sun[0]) + unit[2] * F32(sky.sun[2])) * F32(1.0 / azimuth)
    glow = np.exp(-up * F32(6.0)) * np.clip(toward, F32(0.0), F32(1.0)) ** 2
    color += np.asarray(SUNSET, F32)[:, None] * (glow * F32(1.0 - 0.8 * sky.clouds))
    plane = F32(1.0) / (up + F32(0.12))
    texture = noise(unit[0] * plane * 14 + F32(sky.drift), unit[2] * plane * 14, 1.0, 0)
    cover = np.clip(texture * F32(0.35) + F32(sky.clouds * 1.6 - 0.5), F32(0.0), F32(1.0))
    return color * (F32(1.0) - F32(0.45) * cover)
