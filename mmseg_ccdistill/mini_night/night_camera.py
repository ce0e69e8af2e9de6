"""A camera at its limits: exposure, colour cast, glare with streaks, black crush, shot and row noise."""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from .sensor import glare
from .texture import F32
from .world import Color, FloatArray, World

#: Share of all light that the lens scatters over the whole picture.
VEIL = 0.027


@dataclass(frozen=True)
class NightCamera:
    """How the camera takes one moment of a hard night.

    Attributes:
        exposure: Mean of the exposed picture that the automatic exposure aims at, linear.
        balance: Linear RGB factors that the automatic white balance leaves: the colour cast.
        bloom: Light that the lens scatters around what over-exposes.
        streak: Light that a smeared windscreen draws into lines.
        angles: Directions of these lines in radians, 0 is along the rows.
        black: Linear level that is cut off at the bottom.
        shot: Variance of shot noise at level 1.
        read: Standard deviation of read noise.
        row: Standard deviation of the noise that all pixels of a row share.
        flicker: Amplitude of the bands that lamps on mains draw through a rolling shutter.
    """

    exposure: float
    balance: Color
    bloom: float
    streak: float
    angles: tuple[float, ...]
    black: float
    shot: float
    read: float
    row: float
    flicker: float


def make_night_camera(rng: np.random.Generator) -> NightCamera:
    """Draw a camera state. Dark exposures come with more noise."""
    exposure = float(np.exp(rng.uniform(np.log(0.004), np.log(0.055))))
    iso = float(rng.uniform(0.6, 1.6)) * (0.02 / exposure) ** 0.3
    return NightCamera(
        exposure=exposure,
        balance=(float(rng.uniform(0.92, 1.16)), 1.0, float(rng.uniform(0.9, 1.3))),
        bloom=float(rng.uniform(0.3, 1.0)),
        streak=max(float(rng.uniform(-0.2, 0.4)), 0.0),
        angles=tuple(float(a) for a in rng.uniform(-math.pi / 2, math.pi / 2, 2)),
        black=max(float(rng.uniform(-0.0004, 0.0009)), 0.0),
        shot=0.0012 * iso,
        read=0.0013 * iso,
        row=0.0002 * iso,
        flicker=float(rng.uniform(0.0, 0.06)),
    )


def add_streaks(image: FloatArray, angles: tuple[float, ...], strength: float) -> FloatArray:
    """Draw the light above 1 into lines that fade over an eighth of the width.

    Args:
        image: Exposed linear picture (H, W, 3).
        angles: Directions in radians.
        strength: Share of the light that goes into the lines.

    Returns:
        The picture with streaks.
    """
    height, width = image.shape[:2]
    bright = np.clip(image - F32(1.0), F32(0.0), F32(40.0))
    small = cv2.resize(bright, (width // 4, height // 4), interpolation=cv2.INTER_AREA)
    reach = max(width // 32, 2)
    lines = np.zeros((2 * reach + 1, 2 * reach + 1), F32)
    for angle in angles:
        for step in np.arange(-reach, reach + 0.5, 0.5):
            x, y = step * math.cos(angle), step * math.sin(angle)
            lines[round(reach - y), round(reach + x)] += F32(math.exp(-3.0 * abs(step) / reach))
    lines /= lines.sum()
    halo = cv2.filter2D(small, -1, lines, borderType=cv2.BORDER_CONSTANT)
    return image + cv2.resize(halo, (width, height), interpolation=cv2.INTER_LINEAR) * F32(strength)


def take(
    radiance: FloatArray, world: World, camera: NightCamera, rng: np.random.Generator
) -> npt.NDArray[np.uint8]:
    """Turn linear radiance (H, W, 3) RGB into the 8-bit BGR picture of a hard night.

    Args:
        radiance: What arrives.
        world: The city; its camera's white balance and saturation count.
        camera: State of the camera.
        rng: Noise.

    Returns:
        The picture (H, W, 3).
    """
    height, width = radiance.shape[:2]
    mean = float(np.minimum(radiance, F32(1.0)).mean())
    gain = float(np.clip((camera.exposure / max(mean, 1e-4)) ** 0.9, 0.05, 8.0))
    image = radiance * (np.asarray(world.gain, F32) * np.asarray(camera.balance, F32) * F32(gain))
    image = glare(image, camera.bloom, cap=40.0)
    image = add_streaks(image, camera.angles, camera.streak)
    image += image.mean((0, 1)) * F32(VEIL)
    yy = ((np.arange(height, dtype=F32) + F32(0.5)) / height - F32(0.5)) ** 2
    xx = ((np.arange(width, dtype=F32) + F32(0.5)) / width - F32(0.5)) ** 2
    image *= (F32(1.0) - F32(0.6) * (yy[:, None] + xx[None, :]))[..., None]
    phase, bands = rng.uniform(0, 2 * math.pi), rng.uniform(2.0, 7.0)
    rows = np.sin(np.linspace(phase, phase + 2 * math.pi * bands, height, dtype=F32))
    image *= (F32(1.0) + F32(camera.flicker) * rows)[:, None, None]
    image = cv2.GaussianBlur(image, (0, 0), 0.6 * width / 512)
    grain = rng.standard_normal((height, width, 3), F32)
    grain = cv2.GaussianBlur(grain, (0, 0), 0.45)  # demosaicing makes neighbours alike
    image += grain * np.sqrt(image * F32(camera.shot) + F32(camera.read**2))
    image += rng.standard_normal((height, 1, 1), F32) * F32(camera.row)
    image = np.clip(image - F32(camera.black), F32(0.0), F32(6.0))
    image = image / (F32(1.0) + F32(0.1) * image)
    grey = image.mean(2, keepdims=True)
    image = np.clip(grey + (image - grey) * F32(0.85 * world.saturation), F32(0.0), F32(1.0))
    encoded = np.where(
        image < 0.003, image * F32(12.9), F32(1.055) * image ** F32(1 / 2.4) - F32(0.055)
    )
    return np.ascontiguousarray(np.round(encoded * F32(255.0)).astype(np.uint8)[..., ::-1])
