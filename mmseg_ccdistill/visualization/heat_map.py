"""Numbers as colours: heat maps with one scale and its bar.

The colours are cividis (Nunez, Anderton, Renslow, 2018): perceptually uniform, and the same to
viewers with and without red-green deficiency.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from .panel import write_text

# Not a number: a grey that cividis does not hold at that lightness without blue or yellow in it.
_UNDEFINED = (160, 160, 160)


def heat_map(values: np.ndarray, low: float, high: float) -> np.ndarray:
    """Paint a map of numbers.

    Args:
        values: ``(H, W)`` floats. What lies outside the scale takes its end, NaN becomes grey.
        low: Value of the darkest colour.
        high: Value of the brightest colour.

    Returns:
        ``(H, W, 3)`` BGR uint8, one pixel for each value.

    Raises:
        ValueError: If ``values`` is not two-dimensional, or the scale is empty.
    """
    if values.ndim != 2:
        raise ValueError(f'expected a map (H, W) of numbers, got shape {values.shape}')
    if not low < high:
        raise ValueError(f'the scale of a heat map goes from low to high, got {low} to {high}')
    share = (np.asarray(values, dtype=np.float64) - low) / (high - low)
    undefined = np.isnan(share)
    levels = np.round(255 * np.clip(np.where(undefined, 0, share), 0, 1)).astype(np.uint8)
    image = cv2.applyColorMap(levels, cv2.COLORMAP_CIVIDIS)
    image[undefined] = _UNDEFINED
    return image


def color_bar(
    low: float, high: float, ticks: Sequence[float], width: int, font_size: int = 14
) -> np.ndarray:
    """Draw the scale of heat maps with its numbers below.

    Args:
        low: Value of the left end.
        high: Value of the right end.
        ticks: Values to mark, from ``low`` to ``high``.
        width: Width of the strip in pixels.
        font_size: Size of the numbers in pixels.

    Returns:
        The strip, ``(H, width, 3)`` BGR uint8; the bar is half as long.
    """
    length = width // 2
    thickness, tick = font_size, font_size // 3
    left, top = (width - length) // 2, font_size // 2
    strip = np.full((top + thickness + tick + 2 * font_size, width, 3), 255, dtype=np.uint8)
    ramp = np.linspace(low, high, length)[None]
    strip[top : top + thickness, left : left + length] = heat_map(ramp, low, high)
    numbers = []
    for value in ticks:
        x = left + round((value - low) / (high - low) * (length - 1))
        strip[top + thickness : top + thickness + tick, x] = 40
        numbers.append((f'{value:g}', (x, top + thickness + tick + font_size)))
    return write_text(strip, numbers, font_size, 'mm')
