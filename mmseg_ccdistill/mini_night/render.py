"""One call from seeds to a picture and its labels."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import numpy.typing as npt

from ..errors import UserInputError
from . import geometry, hard_night, lighting, materials, night_camera, sensor, twilight, wet_road
from .geometry import Camera, Mesh
from .layout import make_street
from .street import Street
from .traffic import add_traffic
from .world import IGNORE, World, make_world

VERSION = 2
Level = Literal['day', 'night', 'hard_night', 'twilight']
#: Brightness of the ego bonnet.
BONNET = {'day': 1.0, 'night': 0.12, 'hard_night': 0.02, 'twilight': 0.3}
Image = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class View:
    """Offset of the camera from the middle of its lane: right and ahead in m, yaw in radians."""

    right: float = 0.0
    ahead: float = 0.0
    yaw: float = 0.0


def make_camera(
    world: World, street: Street, view: View, size: tuple[int, int], rng: np.random.Generator
) -> Camera:
    """Place the world's camera; ``rng`` adds the jitter of a driving car to pitch and roll."""
    width, height = size
    pitch = math.radians(world.pitch + float(rng.normal(0, 0.35)))
    return Camera(
        street.lane + view.right,
        world.height,
        view.ahead,
        view.yaw,
        pitch,
        math.radians(float(rng.normal(0, 0.4))),
        world.focal * width,
        width,
        height,
    )


def _bonnet(
    labels: npt.NDArray[np.uint8], image: npt.NDArray[np.float32], brightness: float
) -> None:
    """Paint the ego bonnet into the bottom of the frame; it is labelled 255."""
    height, width = labels.shape
    x = (np.arange(width) + 0.5) / width * 2 - 1
    top = height * (0.945 + 0.05 * x**2)
    rows = np.arange(height)[:, None]
    mask = rows > top[None, :]
    sheen = (0.02 + 0.1 * np.exp(-(((rows - top[None, :]) / (0.02 * height)) ** 2))).astype(
        np.float32
    )
    tint = np.array([0.8, 0.9, 1.0], np.float32) * np.float32(brightness)
    image[mask] = sheen[mask][:, None] * tint
    labels[mask] = IGNORE


def render_scene(
    world: str | World,
    street_seed: int,
    *,
    light: Level = 'day',
    view: View | None = None,
    traffic_seed: int = 0,
    size: tuple[int, int] = (512, 256),
    seed: int = 0,
) -> tuple[Image, Image]:
    """Render one moment of a street.

    Args:
        world: ``'S'``, ``'T'``, or a world from :func:`make_world`.
        street_seed: Which street; everything static follows from it.
        light: ``'day'``, ``'night'`` (the easy one), ``'hard_night'`` or ``'twilight'``. Streets, traffic and
            camera do not depend on it, except that lamps are lit.
        view: Camera offset; default the mount itself.
        traffic_seed: Which moment: traffic, people, weather, camera jitter and sensor noise.
        size: Width and height in pixels, at least 64 x 32.
        seed: Renderer seed of the world, used when ``world`` is a name.

    Returns:
        The picture, uint8 BGR (H, W, 3), and its train ids, uint8 (H, W), 0..18 or 255.

    Raises:
        UserInputError: If the light or the size is not as stated.
    """
    if light not in get_args(Level):
        known = ', '.join(repr(level) for level in get_args(Level))
        raise UserInputError(f'light must be one of {known}, got {light!r}')
    width, height = size
    if width < 64 or height < 32:
        raise UserInputError(
            f'a mini night picture is at least 64 x 32 pixels, got {width} x {height}'
        )
    home = make_world(world, seed) if isinstance(world, str) else world
    street = make_street(home, street_seed)
    moment = [home.seed, ord(home.name), street_seed, traffic_seed]
    rng = np.random.default_rng([*moment, 3])
    camera = make_camera(home, street, view or View(), size, rng)
    mesh = add_traffic(street, traffic_seed, light != 'day')
    if light != 'hard_night':
        return _render(mesh, street, camera, light, rng)
    mood_rng = np.random.default_rng([*moment, 6])  # camera and weather are drawn as in other light
    mood = hard_night.make_mood(mood_rng)
    return _render(mesh, street, camera, light, rng, mood, night_camera.make_night_camera(mood_rng))


def _render(
    mesh: Mesh,
    street: Street,
    camera: Camera,
    light: Level,
    rng: np.random.Generator,
    mood: hard_night.Mood | None = None,
    state: night_camera.NightCamera | None = None,
) -> tuple[Image, Image]:
    shape = (camera.height, camera.width)
    table, rays, front, solid = geometry.rasterize(mesh, camera)
    labels = table['label'][front]
    ids = front.copy()
    see_through = np.flatnonzero(np.isin(table['kind'], geometry.SEE_THROUGH)[front])
    if len(see_through):
        part = geometry.locate(table, front[see_through], rays[:, see_through], camera)
        hole = see_through[materials.gaps(table, part)]
        ids[hole] = solid[hole]
    g = geometry.locate(table, ids, rays, camera)
    seen = labels.copy()
    if mood is not None:
        hard_night.dim_table(table, mood)
    surface = materials.shade_surface(table, g, street, seen)
    ground = ids == geometry.GROUND_ID
    labels = np.where(front == geometry.GROUND_ID, seen, labels).reshape(shape)
    sky = lighting.make_sky(rng)
    if mood is not None:
        hard_night.dim_shops(surface, g, table, mood)
        radiance = hard_night.hard_radiance(mesh, g, surface, rays, camera, mood)
    elif light == 'night':
        radiance = lighting.night_radiance(mesh, street, g, surface, rays, camera, sky, rng)
    elif light == 'twilight':
        radiance = twilight.twilight_radiance(mesh, g, surface, rays, camera, sky, rng)
    else:
        radiance = lighting.day_radiance(mesh, street, g, surface, rays, sky)
        radiance += (table['night'] * table['day'][:, None])[ids].T
    image = np.ascontiguousarray(radiance.T).reshape(*shape, 3)
    if mood is not None:
        image = wet_road.add_reflections(image, g, camera, mood.wet)
    elif light != 'day':
        horizon = camera.height / 2 - math.tan(camera.pitch) * camera.focal
        image = sensor.wet_reflection(image, ground.reshape(shape), horizon, street.wet)
    if street.world.bonnet:
        _bonnet(labels, image, BONNET[light])
    if state is not None:
        return night_camera.take(image, street.world, state, rng), labels
    is_dark = light != 'day'
    image = sensor.glare(image, 0.55 if is_dark else 0.12)
    return sensor.expose(image, street.world, rng, is_dark), labels
