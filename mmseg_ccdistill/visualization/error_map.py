"""Where a prediction is wrong."""

from __future__ import annotations

import cv2
import numpy as np

from ..errors import UserInputError

# Vermillion of the Okabe-Ito palette (BGR), told from the grey photograph by viewers with any
# colour vision.
WRONG = (0, 94, 213)


def error_map(
    image: np.ndarray, prediction: np.ndarray, label: np.ndarray, num_classes: int
) -> np.ndarray:
    """Paint wrong pixels over a pale grey photograph.

    Args:
        image: The photograph, ``(H, W, 3)`` BGR uint8.
        prediction: ``(H, W)`` class indices.
        label: ``(H, W)`` class indices; pixels outside ``range(num_classes)`` are ignored and
            become black.
        num_classes: Number of classes.

    Returns:
        ``(H, W, 3)`` BGR uint8.

    Raises:
        UserInputError: If the sizes differ.
    """
    if not image.shape[:2] == prediction.shape == label.shape:
        raise UserInputError(
            f'an image of {image.shape[:2]}, a prediction of {prediction.shape} and a label of '
            f'{label.shape} cannot be compared'
        )
    grey = cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)
    pale = (128 + grey // 2).astype(np.uint8)
    painted = cv2.cvtColor(pale, cv2.COLOR_GRAY2BGR)
    valid = (label >= 0) & (label < num_classes)
    painted[valid & (prediction != label)] = WRONG
    painted[~valid] = 0
    return painted
