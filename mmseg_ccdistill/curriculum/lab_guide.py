"""The picture that guides a bilateral filter: CIELAB on the scale of the released code."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from ..cielab import bgr_to_lab


def lab_guide(
    image: npt.NDArray[np.uint8], size: tuple[int, int] | None = None
) -> npt.NDArray[np.float64]:
    """Convert an image to CIELAB / 100, a and b from 0 on.

    A spread of 0.1 in the filters is 10 units of CIELAB. The shift of a and b changes no distance; it is that of the
    released grid filter.

    Args:
        image: uint8 BGR ``(H, W, 3)``.
        size: Height and width to bring the image to first, by area. Defaults to None, its own.

    Returns:
        float64 ``(H, W, 3)``: L in 0..1.
    """
    if size is not None and size != image.shape[:2]:
        image = cv2.resize(image, size[::-1], interpolation=cv2.INTER_AREA)
    lab = bgr_to_lab(image).astype(np.float64) / 100
    lab[..., 1:] -= lab[..., 1:].min((0, 1))
    return lab
