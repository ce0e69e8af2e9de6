"""The two worlds of mini night: what differs between source city S and target city T.

World S plays Cityscapes (long lens, low camera, plastered houses with pitched roofs, mast lamps,
muted colours), world T plays Dark Zurich (wide lens, high camera that looks down, stone and brick
houses with shutters and flat roofs, lamps on cables across the street, tram tracks, vivid colours).
All colours are sRGB triples in 0..255, all lengths metres.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import UserInputError

FloatArray = npt.NDArray[np.float32]
Color = tuple[float, float, float]

CLASSES: tuple[str, ...] = (
    'road', 'sidewalk', 'building', 'wall', 'fence', 'pole', 'traffic light', 'traffic sign',
    'vegetation', 'terrain', 'sky', 'person', 'rider', 'car', 'truck', 'bus', 'train', 'motorcycle',
    'bicycle',
)  # fmt: skip
(
    ROAD, SIDEWALK, BUILDING, WALL, FENCE, POLE, LIGHT, SIGN, VEGETATION, TERRAIN,
    SKY, PERSON, RIDER, CAR, TRUCK, BUS, TRAIN, MOTORCYCLE, BICYCLE,
) = range(19)  # fmt: skip
IGNORE = 255


@dataclass(frozen=True)
class World:
    """Camera, palette and architecture of one city.

    Attributes:
        name: ``'S'`` or ``'T'``.
        seed: Renderer seed; part of every random draw of the world.
        focal: Focal length in image widths.
        height: Camera height above the road in metres.
        pitch: Downward camera pitch in degrees.
        bonnet: Whether the ego bonnet is in view (labelled 255).
        gain: White balance of the camera, linear RGB factors.
        saturation: Colour saturation of the camera, 1 is neutral.
    """

    name: str
    seed: int
    focal: float
    height: float
    pitch: float
    bonnet: bool
    gain: Color
    saturation: float
    plaster: tuple[Color, ...]
    trim: tuple[Color, ...]
    shutters: tuple[Color, ...]
    roofs: tuple[Color, ...]
    asphalt: Color
    marking: Color
    paving: Color
    paving_size: tuple[float, float]
    foliage: tuple[Color, ...]
    grass: Color
    wall: tuple[Color, ...]
    fence: tuple[Color, ...]
    pole: tuple[Color, ...]
    bus: tuple[Color, ...]
    tram: tuple[Color, ...]
    storeys: tuple[int, int]
    storey_height: tuple[float, float]
    window: tuple[float, float, float]
    p_shutter: float
    p_brick: float
    p_flat_roof: float
    p_shop: float
    p_track: float
    cable_lamps: bool
    lamp: Color
    sun: Color
    sky_top: Color
    sky_low: Color


_S = World(
    name='S',
    seed=0,
    focal=1.02,
    height=1.3,
    pitch=1.5,
    bonnet=True,
    gain=(0.95, 1.03, 0.97),
    saturation=0.95,
    plaster=(
        (222, 208, 176),
        (205, 196, 180),
        (228, 220, 200),
        (198, 170, 132),
        (214, 188, 170),
        (188, 186, 178),
        (176, 150, 128),
    ),
    trim=((235, 232, 222), (150, 130, 108), (205, 200, 190)),
    shutters=((96, 66, 50), (120, 120, 116)),
    roofs=((140, 74, 56), (120, 66, 54), (96, 84, 78)),
    asphalt=(104, 104, 106),
    marking=(226, 226, 222),
    paving=(162, 156, 150),
    paving_size=(0.6, 0.6),
    foliage=((72, 98, 44), (92, 112, 52), (60, 84, 44)),
    grass=(106, 122, 62),
    wall=((150, 140, 128), (170, 160, 146), (142, 96, 78)),
    fence=((92, 96, 92), (130, 104, 76), (70, 74, 72)),
    pole=((120, 124, 122), (92, 98, 96), (150, 152, 150)),
    bus=((208, 196, 60), (196, 52, 44), (226, 226, 220), (52, 84, 150), (60, 120, 84)),
    tram=((214, 190, 52), (190, 44, 44), (50, 80, 140), (70, 110, 80)),
    storeys=(3, 5),
    storey_height=(2.9, 3.3),
    window=(2.5, 1.25, 1.5),
    p_shutter=0.1,
    p_brick=0.15,
    p_flat_roof=0.15,
    p_shop=0.4,
    p_track=0.3,
    cable_lamps=False,
    lamp=(255, 190, 110),
    sun=(255, 246, 230),
    sky_top=(150, 178, 204),
    sky_low=(222, 228, 230),
)

_T = World(
    name='T',
    seed=0,
    focal=0.84,
    height=1.65,
    pitch=4.5,
    bonnet=False,
    gain=(1.05, 1.0, 0.95),
    saturation=1.0,
    plaster=(
        (186, 176, 158),
        (160, 156, 148),
        (204, 186, 140),
        (148, 132, 116),
        (196, 200, 196),
        (178, 140, 110),
        (132, 112, 98),
    ),
    trim=((196, 188, 172), (120, 112, 104), (224, 220, 210)),
    shutters=((58, 92, 66), (70, 96, 110), (116, 60, 50), (88, 84, 78)),
    roofs=((104, 66, 52), (82, 80, 82), (70, 74, 78)),
    asphalt=(82, 83, 88),
    marking=(232, 214, 120),
    paving=(138, 134, 132),
    paving_size=(1.1, 0.45),
    foliage=((54, 94, 40), (82, 116, 38), (112, 118, 44)),
    grass=(88, 128, 48),
    wall=((128, 124, 118), (150, 138, 116), (112, 104, 98)),
    fence=((58, 70, 62), (64, 62, 66), (112, 84, 58)),
    pole=((86, 92, 94), (70, 76, 80), (104, 112, 104)),
    bus=((40, 84, 160), (222, 224, 228), (60, 96, 170), (186, 56, 50)),
    tram=((36, 74, 152), (60, 90, 150), (176, 50, 48)),
    storeys=(3, 6),
    storey_height=(3.1, 3.6),
    window=(2.1, 1.05, 1.8),
    p_shutter=0.6,
    p_brick=0.2,
    p_flat_roof=0.5,
    p_shop=0.6,
    p_track=0.5,
    cable_lamps=True,
    lamp=(255, 184, 102),
    sun=(255, 238, 206),
    sky_top=(96, 146, 210),
    sky_low=(206, 220, 232),
)


def make_world(name: str, seed: int = 0) -> World:
    """Return city ``name`` as drawn by renderer ``seed``.

    Seed 0 is the canonical pair of cities; every other seed jitters lens, mount and colours, so
    that independent pairs of domains ("world A", "world B") come from one code.

    Args:
        name: ``'S'`` (source, plays Cityscapes) or ``'T'`` (target, plays Dark Zurich).
        seed: Renderer seed, not negative.

    Returns:
        The world.

    Raises:
        UserInputError: If the name is unknown or the seed is negative.
    """
    worlds = {'S': _S, 'T': _T}
    if name not in worlds:
        raise UserInputError(f"world must be 'S' or 'T', got {name!r}")
    if seed < 0:
        raise UserInputError(f'the seed of a mini night world must not be negative, got {seed}')
    base = worlds[name]
    if seed == 0:
        return base
    rng = np.random.default_rng([seed, ord(name), 77])
    changes: dict[str, Any] = {
        'seed': seed,
        'focal': base.focal * float(rng.uniform(0.93, 1.07)),
        'height': base.height * float(rng.uniform(0.93, 1.07)),
        'pitch': base.pitch + float(rng.uniform(-0.6, 0.6)),
        'gain': tuple(float(g * rng.uniform(0.96, 1.04)) for g in base.gain),
    }
    for field in (
        'plaster',
        'trim',
        'shutters',
        'roofs',
        'foliage',
        'wall',
        'fence',
        'bus',
        'tram',
    ):
        changes[field] = tuple(jitter_color(c, rng, 14.0) for c in getattr(base, field))
    for field in ('asphalt', 'paving', 'grass'):
        changes[field] = jitter_color(getattr(base, field), rng, 8.0)
    return replace(base, **changes)


def jitter_color(color: Color, rng: np.random.Generator, amount: float) -> Color:
    """Shift brightness and hue of an sRGB colour by about ``amount`` grey levels each."""
    shift = rng.normal(0.0, 0.7 * amount) + rng.normal(0.0, 0.4 * amount, 3)
    out = np.clip(np.asarray(color) + shift, 8.0, 250.0)
    return float(out[0]), float(out[1]), float(out[2])


def to_linear(color: Any) -> FloatArray:
    """Convert sRGB values in 0..255, shape (..., 3), to linear reflectance in 0..1 (gamma 2.2)."""
    return ((np.asarray(color, np.float32) / np.float32(255.0)) ** np.float32(2.2)).astype(
        np.float32
    )
