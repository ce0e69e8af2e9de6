"""The camera: glare, wet-road reflections, exposure, vignetting, noise, tone curve, colour."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from .world import FloatArray, World

F32 = np.float32


def glare(image: FloatArray, strength: float, cap: float = 14.0) -> FloatArray:
    """Bloom of what over-exposes: light above 0.8 spread by three Gaussians (lens scatter).

    Args:
        image: Linear picture (H, W, 3).
        strength: Share of the light that is scattered.
        cap: Light above 0.8 counts up to here.

    Returns:
        The picture with bloom.
    """
    height, width = image.shape[:2]
    bright = np.minimum(np.maximum(image - F32(0.8), F32(0.0)), F32(cap))
    small = cv2.resize(bright, (width // 4, height // 4), interpolation=cv2.INTER_AREA)
    halo = np.zeros_like(small)
    for sigma, share in ((width / 420, 0.5), (width / 130, 0.3), (width / 45, 0.2)):
        halo += cv2.GaussianBlur(small, (0, 0), sigma) * F32(share)
    return image + cv2.resize(halo, (width, height), interpolation=cv2.INTER_LINEAR) * F32(strength)


def wet_reflection(
    image: FloatArray, ground: npt.NDArray[np.bool_], horizon: float, amount: float
) -> FloatArray:
    """Streaks on a damp road: what is bright above the horizon, mirrored and smeared."""
    height, width = image.shape[:2]
    small_size = (width // 4, height // 4)
    bright = cv2.resize(
        np.minimum(np.maximum(image - F32(0.35), 0), F32(6.0)),
        small_size,
        interpolation=cv2.INTER_AREA,
    )
    row = int(np.clip(horizon / 4, 1, small_size[1] - 2))
    mirrored = np.zeros_like(bright)
    count = min(row, small_size[1] - row)
    mirrored[row : row + count] = bright[row - count : row][::-1]
    mirrored = cv2.GaussianBlur(mirrored, (0, 0), sigmaX=1.0, sigmaY=height / 36)
    full = cv2.resize(mirrored, (width, height), interpolation=cv2.INTER_LINEAR)
    return image + full * (ground[..., None] * F32(amount))


def expose(
    radiance: FloatArray, world: World, rng: np.random.Generator, night: bool
) -> npt.NDArray[np.uint8]:
    """Turn linear radiance (H, W, 3) RGB into the 8-bit BGR picture that the camera takes."""
    height, width = radiance.shape[:2]
    mean = float(np.minimum(radiance, 1.2).mean())
    if night:
        gain = (
            float(np.clip(0.1 / max(mean, 1e-3), 0.7, 3.0)) ** 0.6
            * float(rng.uniform(0.8, 1.25))
            * 1.25
        )
    else:
        gain = float(np.clip(0.24 / max(mean, 1e-3), 0.5, 2.2)) * float(rng.uniform(0.8, 1.25))
    balance = np.asarray(world.gain, F32) * F32(gain)
    if night:  # the automatic white balance takes back a part of the lamps' warm cast
        balance *= np.array([0.95, 1.0, 1.1], F32)
    image = radiance * balance
    yy = ((np.arange(height, dtype=F32) + F32(0.5)) / height - F32(0.5)) ** 2
    xx = ((np.arange(width, dtype=F32) + F32(0.5)) / width - F32(0.5)) ** 2
    image *= (F32(1.0) - F32(0.5 if night else 0.25) * (yy[:, None] + xx[None, :]))[..., None]
    image = cv2.GaussianBlur(image, (0, 0), 0.55 * width / 512)
    shot, read = (0.0011, 0.003) if night else (0.00012, 0.0007)
    grain = rng.standard_normal((height, width, 3), F32)
    image += grain * np.sqrt(np.maximum(image, F32(0.0)) * F32(shot) + F32(read * read))
    np.clip(image, F32(0.0), F32(6.0), out=image)
    shoulder = F32(0.12 if night else 0.3)  # highlights are compressed before they clip
    image = image / (F32(1.0) + shoulder * image) * (F32(1.0) if night else F32(1.12))
    grey = image.mean(2, keepdims=True)
    image = np.clip(grey + (image - grey) * F32(world.saturation), F32(0.0), F32(1.0))
    encoded = np.sqrt(image)
    encoded = encoded * F32(0.9) + encoded * encoded * (F32(3.0) - F32(2.0) * encoded) * F32(0.1)
    return np.ascontiguousarray(np.round(encoded * F32(255.0)).astype(np.uint8)[..., ::-1])
