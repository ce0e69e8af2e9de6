"""Images in CIELAB."""

from __future__ import annotations

import cv2
import numpy as np

from .errors import UserInputError


def _linear_light() -> np.ndarray:
    """Linear intensity of the sRGB levels 0..255 (IEC 61966-2-1): float32 ``(256,)`` in [0, 1]."""
    srgb = np.arange(256) / 255
    linear = np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)
    return linear.astype(np.float32)


#: Linear intensity of each sRGB level: float32 ``(256,)`` in [0, 1].
LINEAR_LIGHT = _linear_light()


def contiguous(image: np.ndarray) -> np.ndarray:
    """The pixels of an image in the order of their memory: of a flipped view OpenCV makes a copy far faster than numpy.

    Args:
        image: ``(H, W, C)``.

    Returns:
        The image itself, where it is no view.
    """
    if image.strides[1] < 0 < image.strides[0]:
        return cv2.flip(image[:, ::-1], 1)
    return np.ascontiguousarray(image)


def bgr_to_lab(image: np.ndarray) -> np.ndarray:
    """Convert an image to CIELAB (D65, sRGB transfer curve).

    Args:
        image: uint8 BGR, ``(H, W, 3)``.

    Returns:
        float32 ``(H, W, 3)``: L in 0..100, a and b about -128..127. The pure red pixel gives
        (53.24, 80.09, 67.20).

    Raises:
        TypeError: If the image is not uint8 with three channels, e.g. if it has already been
            normalised.
    """
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
        raise UserInputError(
            f'LAB transfer got an image of shape {image.shape} and type {image.dtype}: '
            'expected uint8 BGR (H, W, 3); leave normalisation to the data preprocessor.'
        )
    # from linear light, OpenCV evaluates the formula itself: exact to 1e-4, and faster
    return cv2.cvtColor(cv2.LUT(contiguous(image), LINEAR_LIGHT), cv2.COLOR_LBGR2LAB)
