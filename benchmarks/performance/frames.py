"""Frames on the disk, of the true size and about as large as the published ones: Cityscapes and Dark Zurich."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from benchmarks.performance.sizes import Sizes

#: Standard deviation of the sensor's noise, and of each octave of the picture, in grey levels.
_NOISE, _OCTAVE = 2.0, 14.0
#: Widths of the octaves in pixels. A camera shows hardly anything finer.
_WIDTHS = (2.5, 5, 10, 20, 40, 80)
#: Share of the octaves in which colours differ.
_COLOUR = 0.3
#: What encoders of PNG take if nothing else is said.
_LEVEL = 6


def write_frames(folder: Path, sizes: Sizes) -> list[Path]:
    """Write labelled days and day-night pairs where the config of the paper looks for them.

    Args:
        folder: Takes ``cityscapes`` and ``dark_zurich``.
        sizes: Of the run.

    Returns:
        The images, without the labels.
    """
    rng = np.random.default_rng(0)
    images, pairs = [], []
    for number in range(sizes.files):
        name = f'{number:06d}'
        source = folder / f'cityscapes/leftImg8bit/train/town/town_{name}_leftImg8bit.png'
        _write(source, _picture(rng, sizes.source))
        images.append(source)
        label = folder / f'cityscapes/gtFine/train/town/town_{name}_gtFine_labelTrainIds.png'
        _write(label, _labels(rng, sizes.source))
        stems = [f'train/{light}/seq_{light}/seq_{light}_{name}' for light in ('night', 'day')]
        pairs.append(','.join(stems))
        for stem in stems:
            path = folder / f'dark_zurich/rgb_anon/{stem}_rgb_anon.png'
            _write(path, _picture(rng, sizes.target, dark='night' in stem))
            images.append(path)
    listed = folder / 'dark_zurich/lists/zurich_dn_pair_train.csv'
    listed.parent.mkdir(parents=True)
    listed.write_text('\n'.join(pairs) + '\n')
    return images


def _picture(rng: np.random.Generator, size: tuple[int, int], dark: bool = False) -> np.ndarray:
    """Equal contrast in each octave, as photographs have it (Field, 1987), and noise: uint8 ``(H, W, 3)``.

    So an encoder treats it as it treats a photograph: Paeth's filter for nearly every row, 1.6 bytes a pixel.
    """
    picture = np.full((*size, 3), 110, dtype=np.float32)
    for width in _WIDTHS:
        grid = [max(round(side / width), 2) for side in size]
        light = rng.standard_normal((*grid, 1)) + _COLOUR * rng.standard_normal((*grid, 3))
        picture += cv2.resize((_OCTAVE * light).astype(np.float32), size[::-1])
    noise = rng.normal(0, _NOISE, (*size, 3)).astype(np.float32)
    picture = (0.3 if dark else 1.0) * picture + noise
    return np.clip(np.rint(picture), 0, 255).astype(np.uint8)


def _labels(rng: np.random.Generator, size: tuple[int, int]) -> np.ndarray:
    """Blocks of trainIds and 255: uint8 ``(H, W)``."""
    blocks = rng.choice([*range(19), 255], (24, 48)).astype(np.uint8)
    return cv2.resize(blocks, size[::-1], interpolation=cv2.INTER_NEAREST)


def _write(path: Path, pixels: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path, compress_level=_LEVEL)
