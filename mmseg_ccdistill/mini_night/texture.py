"""Noise and hashes that procedural surfaces are made of."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from .geometry import (
    GBuffer,
)
from .world import (
    FloatArray,
)

F32 = np.float32


@lru_cache(maxsize=4)
def noise_tile(octaves: int) -> FloatArray:
    """A tileable 256 x 256 value-noise texture of mean 0 and standard deviation 1."""
    rng = np.random.default_rng([20220617, octaves])
    spectrum = np.fft.rfft2(rng.standard_normal((256, 256)))
    fy, fx = np.fft.fftfreq(256)[:, None] * 256, np.fft.rfftfreq(256)[None, :] * 256
    radius = np.maximum(np.hypot(fy, fx), 1.0)
    tile = np.fft.irfft2(spectrum * radius ** (-(3.0 - octaves) * 0.75) * (radius > 2), (256, 256))
    return ((tile - tile.mean()) / tile.std()).astype(F32)


def noise(u: FloatArray, v: FloatArray, scale: float, octaves: int = 1) -> FloatArray:
    """Sample the noise at ``scale`` texels per metre; octaves 0 smooth, 1 cloudy, 2 grainy."""
    i = (v * F32(scale)).astype(np.int32) & 255
    j = (u * F32(scale)).astype(np.int32) & 255
    return noise_tile(octaves)[i, j]


def hash01(a: npt.NDArray[Any], b: npt.NDArray[Any], seed: Any) -> FloatArray:
    """Uniform numbers in [0, 1) from integer cell coordinates and a seed."""
    h = a.astype(np.uint32) * np.uint32(73856093) ^ b.astype(np.uint32) * np.uint32(19349663)
    h = h ^ (np.atleast_1d(seed).astype(np.uint32) * np.uint32(83492791))
    h = (h ^ (h >> np.uint32(13))) * np.uint32(1274126177)
    h = (h ^ (h >> np.uint32(15))) * np.uint32(2246822519)
    return ((h ^ (h >> np.uint32(16))) >> np.uint32(8)).astype(F32) * F32(1.0 / (1 << 24))


def detail(g: GBuffer, index: npt.NDArray[Any], texels: float) -> FloatArray:
    """Fade of fine texture with distance: 1 near, 0 where texels are far smaller than pixels."""
    return np.clip(F32(300.0 / texels) / g.depth[index], F32(0.0), F32(1.0))


@dataclass
class Surface:
    """Material of N pixels.

    Attributes:
        albedo: Linear RGB reflectance (3, N).
        emission: Linear RGB radiance emitted at night (3, N).
        gloss: Share of mirror reflection (N,).
        retro: Retroreflection, 0 or 1 (N,).
    """

    albedo: FloatArray
    emission: FloatArray
    gloss: FloatArray
    retro: FloatArray
