"""Hard night: few lamps of one colour, dark fronts, closed shops, a black sky; one mood for each moment.

The scene is that of the easy night: same street, traffic, camera and labels. Only what gives light differs.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from .geometry import FACADE, GROUND_ID, SKY_ID, Camera, GBuffer, Light, Mesh, Table
from .lighting import add_light, ground_maps, headlights, look_up, nearest_lights
from .shapes import emission
from .texture import F32, Surface, hash01
from .world import BUILDING, POLE, Color, FloatArray

#: sRGB colours of street lamps: sodium, warm and neutral LED, metal halide, mercury.
LAMP_COLORS: tuple[Color, ...] = (
    (255, 158, 66),
    (255, 208, 150),
    (255, 240, 224),
    (226, 240, 255),
    (218, 255, 232),
)


@dataclass(frozen=True)
class Mood:
    """What gives light in one moment of a hard night.

    Attributes:
        seed: Which lamps and shops are on.
        lamps: Share of the street lamps that burn.
        power: Strength of a burning lamp, relative to a mean lamp of the easy night.
        lamp: sRGB colour of the lamps.
        windows: Share of the windows of the easy night that are lit.
        shops: Share of the shop fronts that are lit.
        shop_power: Strength of a lit shop front.
        ambient: Light from the sky, as irradiance (a lamp at 6 m gives about 3).
        beam: Strength of the headlamps of the own car.
        oncoming: Strength of the lamps of other vehicles.
        wet: Water on the ground, 0 dry to 1 covered.
    """

    seed: int
    lamps: float
    power: float
    lamp: Color
    windows: float
    shops: float
    shop_power: float
    ambient: float
    beam: float
    oncoming: float
    wet: float


def make_mood(rng: np.random.Generator) -> Mood:
    """Draw the mood of a moment: a lit street, one with few lamps, or one with none."""
    kind = int(rng.choice(3, p=(0.4, 0.4, 0.2)))
    lamps = float((rng.uniform(0.6, 1.0), rng.uniform(0.15, 0.45), 0.0)[kind])
    return Mood(
        seed=int(rng.integers(1 << 20)),
        lamps=lamps,
        power=float(rng.uniform(0.12, 0.5)),
        lamp=LAMP_COLORS[int(rng.integers(len(LAMP_COLORS)))],
        windows=float(rng.uniform(0.05, 0.4)),
        shops=float(rng.uniform(0.0, (0.8, 0.5, 0.2)[kind])),
        shop_power=float(rng.uniform(0.5, 1.6)),
        ambient=float(np.exp(rng.uniform(np.log(0.002), np.log(0.02)))),
        beam=float(rng.uniform(0.25, 0.9)),
        oncoming=float(rng.uniform(1.0, 4.0)),
        wet=float(rng.uniform(0.35, 1.0) if rng.random() < 0.45 else rng.uniform(0.0, 0.12)),
    )


def is_on(
    x: FloatArray, z: FloatArray, cell: float, share: float, seed: int
) -> npt.NDArray[np.bool_]:
    """Whether what stands at (x, z), both (N,), is lit: all within ``cell`` metres of a side alike."""
    row = np.floor(z / F32(cell)).astype(np.int32)
    return hash01(row, (x > 0).astype(np.int32), seed) < F32(share)


def dim_table(table: Table, mood: Mood) -> None:
    """Switch off or dim what glows by itself; changes ``table['night']`` and the windows' share.

    Args:
        table: Per-polygon tables of a night scene.
        mood: The mood.
    """
    night, label, kind = table['night'], table['label'], table['kind']
    x, z = table['origin'][:, 0], table['origin'][:, 2]
    glows = night.max(1) > 0
    lamp = glows & (label == POLE)
    burns = is_on(np.ones_like(z), z, 1.0, mood.lamps, mood.seed)
    night[lamp] = np.asarray(emission(mood.lamp, 40.0 * mood.power), F32)
    night[lamp & ~burns] = 0
    board = glows & (label == BUILDING)
    night[board] *= F32(mood.shop_power)
    night[board & ~is_on(x, z, 12.0, mood.shops, mood.seed)] = 0
    night[night.min(1) > 5] *= F32(mood.oncoming)
    table['params'][kind == FACADE, 6] *= F32(mood.windows)


def dim_shops(s: Surface, g: GBuffer, table: Table, mood: Mood) -> None:
    """Switch off or dim the shop windows on the ground floors of the fronts; changes ``s.emission``."""
    ids = g.ids
    ground_floor = table['params'][:, 4][ids]
    shop = np.flatnonzero((table['kind'][ids] == FACADE) & (g.uv[1] < ground_floor))
    on = is_on(g.position[0][shop], g.position[2][shop], 12.0, mood.shops, mood.seed)
    s.emission[:, shop] *= np.where(on, F32(mood.shop_power), F32(0.0))


def lights_of(mesh: Mesh, mood: Mood) -> list[Light]:
    """The point lights of the scene that are on, as strong and of the colour that the mood says."""
    out = []
    for light in mesh.lights:
        x, _, z = (np.asarray([value], F32) for value in light.position)
        if light.source == 'lamp':
            if is_on(np.ones_like(z), z, 1.0, mood.lamps, mood.seed)[0]:
                out.append(replace(light, intensity=emission(mood.lamp, 120.0 * mood.power)))
            continue
        if light.source == 'shop' and not is_on(x, z, 12.0, mood.shops, mood.seed)[0]:
            continue
        factor = {'shop': 0.6 * mood.shop_power, 'signal': 1.0, 'vehicle': 0.5 * mood.oncoming}
        r, g, b = (value * factor[light.source] for value in light.intensity)
        out.append(replace(light, intensity=(r, g, b)))
    return out


def hard_radiance(
    mesh: Mesh, g: GBuffer, s: Surface, rays: FloatArray, camera: Camera, mood: Mood
) -> FloatArray:
    """Linear radiance (3, N) in a hard night.

    Args:
        mesh: The scene.
        g: Geometry of the pixels.
        s: Surfaces; wet ground is darkened.
        rays: Directions of the pixels (3, N).
        camera: The view.
        mood: The mood.

    Returns:
        The radiance. Lamps have full cut-off: their light fades above 4 m, so that fronts and sky are dark.
    """
    position, normal = g.position, g.normal
    ground = g.ids == GROUND_ID
    s.albedo[:, ground] *= F32(1.0 - 0.5 * mood.wet)
    light = np.zeros_like(position)
    for lamp in nearest_lights(replace(mesh, lights=lights_of(mesh, mood)), camera):
        add_light(light, position, normal, lamp.position, lamp.intensity, lamp.down)
    light *= np.clip(F32(1.5) - position[1] * F32(0.13), F32(0.1), F32(1.0))
    glow = np.array([0.9, 0.95, 1.15], F32) * F32(mood.ambient)
    light += glow[:, None] * (F32(0.6) + F32(0.4) * normal[1])
    headlights(light, g, s, camera, mood.beam)
    contact = look_up(ground_maps(mesh, None)[2], position[0], position[2])
    out = s.albedo * light * (F32(1.0) - F32(0.9) * np.where(position[1] < 0.02, contact, F32(0.0)))
    out += s.emission
    is_sky = g.ids == SKY_ID
    r = rays[:, is_sky]
    up = np.clip(r[1] / np.sqrt((r**2).sum(0)), 0, 1)
    low = np.asarray(emission(mood.lamp, 1.0), F32) * F32(0.1 * mood.lamps * mood.power)
    low += glow
    out[:, is_sky] = (low * F32(0.15))[:, None] * (F32(0.15) + np.exp(-up * F32(5.0)))
    return out
