"""Light on S_n: LAB transfer gives a day image the colours of the night, but its light stays that of the sky.

The three parts are ours: a smooth exposure that rises and falls over the image, a few warm lamps, and shot noise.
Labels stay what they are, and no night label is involved.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
from mmcv.transforms import BaseTransform
from mmseg.registry import TRANSFORMS

from ...cielab import LINEAR_LIGHT
from ...errors import UserInputError
from ...runtime.random_state import side_stream

#: Stream of the random numbers, see ``side_stream``.
_STREAM = 12
#: Nodes of the exposure field along each side.
_NODES = 5
#: Colour of a lamp in linear light, BGR, mean 1: about that of a sodium or warm white lamp (3000 K).
_WARM = np.array([0.45, 0.95, 1.6], dtype=np.float32)
#: Rounds of the search for the exposure that keeps the mean in spite of clipping.
_ROUNDS = 6


def exposure_field(size: Sequence[int], spread: float, stream: np.random.RandomState) -> np.ndarray:
    """A smooth random factor of the light.

    Args:
        size: Height and width.
        spread: Standard deviation of its logarithm at the nodes.
        stream: Random numbers.

    Returns:
        float32 ``(H, W)``, positive.
    """
    nodes = (spread * stream.standard_normal((_NODES, _NODES))).astype(np.float32)
    field = cv2.resize(nodes, (size[1], size[0]), interpolation=cv2.INTER_CUBIC)
    return np.exp(field)


def lamp_light(
    size: Sequence[int], lamps: int, gain: float, stream: np.random.RandomState
) -> tuple[np.ndarray, np.ndarray]:
    """What lamps do around them: they lighten what is there, and glow.

    Args:
        size: Height and width.
        lamps: Number of lamps.
        gain: How many times brighter it is right at a lamp, less 1, at most.
        stream: Random numbers.

    Returns:
        Factor and glow, each float32 ``(H, W, 3)``; the glow in units of the mean light of the image.
    """
    rows, columns = (np.arange(side, dtype=np.float32) for side in size[:2])
    factor = np.ones((*size[:2], 3), dtype=np.float32)
    glow = np.zeros_like(factor)
    for _ in range(lamps):
        y, x, radius, strength = stream.random_sample(4).astype(np.float32)
        # Most lamps hang in the upper half; their pool of light is wider than high.
        y, x = 0.7 * y * size[0], x * size[1]
        reach = (0.05 + 0.15 * radius) * max(size[:2])
        distance = ((rows[:, None] - y) / (1.5 * reach)) ** 2 + ((columns - x) / reach) ** 2
        pool = (0.3 + 0.7 * strength) * np.exp(-distance / 2)[..., None]
        factor += gain * pool * _WARM
        glow += 0.5 * pool**4 * _WARM
    return factor, glow


def relight(
    image: np.ndarray,
    spread: float,
    lamps: int,
    gain: float,
    photons: float,
    stream: np.random.RandomState,
) -> np.ndarray:
    """Put an image in other light; its mean in linear light stays.

    Args:
        image: uint8 BGR ``(H, W, 3)``; not modified.
        spread: See :func:`exposure_field`; 0: no field.
        lamps: Number of lamps.
        gain: See :func:`lamp_light`.
        photons: Photons that a white pixel counts: the noise of a pixel is the root of its own; 0: no noise.
        stream: Random numbers; the parts take them in a fixed order.

    Returns:
        uint8 BGR ``(H, W, 3)``.
    """
    light = cv2.LUT(image, LINEAR_LIGHT)
    mean = float(light.mean())
    lit = light * exposure_field(image.shape, spread, stream)[..., None]
    factor, glow = lamp_light(image.shape, lamps, gain, stream)
    lit = lit * factor + mean * glow
    noise = stream.standard_normal(image.shape).astype(np.float32)
    scale = _keeping_mean(lit, mean)
    lit = lit * scale
    if photons > 0:
        lit = lit + np.sqrt(np.maximum(lit, 0) / photons) * noise
        lit = np.maximum(lit, 0)
        lit = lit * _keeping_mean(lit, mean)
    return _to_levels(lit)


def _keeping_mean(light: np.ndarray, mean: float) -> float:
    """Factor with which the clipped light has a mean."""
    scale = 1.0
    for _ in range(_ROUNDS):
        found = float(np.minimum(scale * light, 1).mean())
        if found <= 0:
            return 1.0
        scale *= mean / found
    return scale


def _to_levels(light: np.ndarray) -> np.ndarray:
    """SRGB levels of linear light (IEC 61966-2-1), rounded."""
    clipped = np.clip(light, 0, 1)
    srgb = np.where(clipped <= 0.0031308, 12.92 * clipped, 1.055 * clipped ** (1 / 2.4) - 0.055)
    return np.rint(255 * srgb).astype(np.uint8)


@TRANSFORMS.register_module()
class NightLights(BaseTransform):
    """Put S_n in uneven light, behind ``LABTransfer`` or with a source that returns S_n itself.

    Its random numbers come from a stream of its own, so all others are what they are without it.

    Required Keys:

    - source_night

    Modified Keys:

    - source_night (its image)

    Args:
        prob: How often. Defaults to 0.7.
        spread: Of the exposure, in natural logarithms; 0: no field. Defaults to 0.5.
        lamps: Largest number of lamps. Defaults to 4.
        gain: How many times brighter it is right at a lamp, less 1, at most. Defaults to 3.0.
        photons: Photons of a white pixel; 0: no noise. Defaults to 400, a dark street at a high gain.

    Raises:
        UserInputError: On a number out of its range.
    """

    changes = ('source_night',)

    def __init__(
        self,
        prob: float = 0.7,
        spread: float = 0.5,
        lamps: int = 4,
        gain: float = 3.0,
        photons: float = 400,
    ) -> None:
        if not 0 <= prob <= 1:
            raise UserInputError(f'NightLights: prob must be from 0 to 1, got {prob}.')
        if not isinstance(lamps, int):
            raise UserInputError(
                f'NightLights: lamps counts lamps, expected an integer from 0 on, got {lamps!r}.'
            )
        if not all(0 <= value < math.inf for value in (spread, lamps, gain, photons)):
            raise UserInputError(
                'NightLights: spread, lamps, gain and photons must be numbers from 0 on, got '
                f'{spread}, {lamps}, {gain} and {photons}.'
            )
        self.prob = prob
        self.spread = spread
        self.lamps = lamps
        self.gain = gain
        self.photons = photons

    def transform(self, results: dict) -> dict:
        """Relight the image of S_n.

        Raises:
            UserInputError: If there is no S_n.
        """
        if 'source_night' not in results:
            raise UserInputError(
                f"NightLights found {sorted(results)} and no 'source_night': expected it behind LABTransfer, which "
                'makes it, or a source that returns it; move it there, or take it out of the pipeline.'
            )
        stream = side_stream(_STREAM)
        happens, count = stream.random_sample() < self.prob, stream.randint(self.lamps + 1)
        if happens:
            sample: dict[str, Any] = results['source_night']
            sample['img'] = relight(
                sample['img'], self.spread, count, self.gain, self.photons, stream
            )
        return results

    def __repr__(self) -> str:
        """Name the transform and its arguments."""
        return (
            f'{type(self).__name__}(prob={self.prob}, spread={self.spread}, lamps={self.lamps}, gain={self.gain}, '
            f'photons={self.photons})'
        )
