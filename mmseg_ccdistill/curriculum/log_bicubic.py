"""Probabilities made larger in the logarithm, as GCMA's and MGCDA's released code does."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]

#: Below this a logarithm of a probability is cut off (released code).
LOG_FLOOR = -20.0
# Keys' cubic with a = -1/2, the one that is exact for quadratics (and MATLAB's); OpenCV and torch have -3/4.
_SHARPNESS = -0.5


def log_bicubic(
    probabilities: npt.ArrayLike, size: tuple[int, int], num_classes: int | None = None
) -> Array:
    """Enlarge probabilities: logarithm, cut-off at -20, bicubic, exponential, sum 1.

    Args:
        probabilities: ``(h, w, K)``.
        size: Height and width, not smaller.
        num_classes: The first so many classes stay, and share the probability of the others (a void class at the
            end). Defaults to None, all of them.

    Returns:
        float64 ``(H, W, K)``.

    Raises:
        ValueError: If the size is smaller.
    """
    values = np.asarray(probabilities, dtype=np.float64)
    height, width = values.shape[:2]
    if size[0] < height or size[1] < width:
        raise ValueError(
            f'log_bicubic got {height} x {width} to bring to {size[0]} x {size[1]}: it only enlarges.'
        )
    with np.errstate(divide='ignore'):
        logs = np.maximum(np.log(values), LOG_FLOOR)
    rows, columns = bicubic_matrix(height, size[0]), bicubic_matrix(width, size[1])
    logs = np.einsum('ai,ijk->ajk', rows, logs, optimize=True)
    large = np.exp(np.einsum('bj,ajk->abk', columns, logs, optimize=True))[..., :num_classes]
    return large / large.sum(-1, keepdims=True)


def bicubic_matrix(length: int, new_length: int) -> Array:
    """Weights of bicubic interpolation along a line, pixel centres at halves, mirrored at its ends.

    Args:
        length: Pixels of the line.
        new_length: Pixels of the longer line.

    Returns:
        ``(new_length, length)``, rows of sum 1.
    """
    place = (np.arange(new_length) + 0.5) * length / new_length - 0.5
    nodes = np.floor(place).astype(np.int64)[:, None] + np.arange(-1, 3)
    weights = _keys(np.abs(place[:, None] - nodes))
    mirrored = np.mod(nodes, 2 * length)
    mirrored = np.where(mirrored < length, mirrored, 2 * length - 1 - mirrored)
    matrix = np.zeros((new_length, length))
    np.add.at(matrix, (np.arange(new_length)[:, None], mirrored), weights)
    return matrix


def _keys(distance: Array) -> Array:
    """Keys' cubic kernel at distances from 0 to 2."""
    a, d = _SHARPNESS, distance
    near = (a + 2) * d**3 - (a + 3) * d**2 + 1
    far = a * d**3 - 5 * a * d**2 + 8 * a * d - 4 * a
    return np.where(d <= 1, near, far)
