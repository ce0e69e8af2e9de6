"""Joint bilateral upsampling: a small picture gets the edges of a large guide.

Kopf et al., SIGGRAPH 2007. GCMA and MGCDA bring their translated images, which a CycleGAN makes small, back to full
size by it.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]


def joint_upsampling(
    small: npt.ArrayLike,
    guide: npt.ArrayLike,
    space: float = 0.5,
    colour: float = 0.1,
    radius: int = 2,
) -> Array:
    r"""Enlarge a picture to the size of a guide.

    .. math:: y(x) = \frac{\sum_n w_n\, s_n}{\sum_n w_n}, \qquad
        w_n = e^{-d_n^2 / \sigma_s^2}\, e^{-\|I(x) - I(n)\|^2 / \sigma_c^2}

    over the pixels n of the small picture around x; d is measured in its pixels, and there is no 1/2 in the
    exponents (released code). The corner pixels of both pictures lie on each other. I(n) is the guide at n, linearly
    interpolated.

    Args:
        small: s, ``(h, w, C)`` of at least 2 x 2 pixels.
        guide: I, ``(H, W, D)``, not smaller, in CIELAB / 100 (:func:`lab_guide`).
        space: :math:`\sigma_s` in pixels of the small picture.
        colour: :math:`\sigma_c` in units of the guide.
        radius: How many small pixels count each way.

    Returns:
        float64 ``(H, W, C)``.

    Raises:
        ValueError: If the guide is smaller than the picture, or that has fewer than 2 x 2 pixels.
    """
    small, guide = np.asarray(small, dtype=np.float64), np.asarray(guide, dtype=np.float64)
    (h, w), (height, width) = small.shape[:2], guide.shape[:2]
    if min(h, w) < 2 or height < h or width < w:
        raise ValueError(
            f'joint_upsampling got a picture of {h} x {w} and a guide of {height} x {width}: '
            'expected at least 2 x 2 pixels and a guide that is not smaller.'
        )
    y = np.arange(height) * (h - 1) / (height - 1)
    x = np.arange(width) * (w - 1) / (width - 1)
    guide_small = _line(_line(guide, h, 0), w, 1)
    row, column = np.floor(y + 0.5).astype(np.int64), np.floor(x + 0.5).astype(np.int64)
    total, weights = np.zeros((height, width, small.shape[2])), np.zeros((height, width, 1))
    for down in range(-radius, radius + 1):
        j = row + down
        for right in range(-radius, radius + 1):
            i = column + right
            there = ((j >= 0) & (j < h))[:, None] & ((i >= 0) & (i < w))
            cell = np.ix_(j.clip(0, h - 1), i.clip(0, w - 1))
            apart = ((j - y)[:, None] ** 2 + (i - x) ** 2) / space**2
            apart = apart + ((guide_small[cell] - guide) ** 2).sum(-1) / colour**2
            weight = (there * np.exp(-apart))[..., None]
            total += weight * small[cell]
            weights += weight
    return total / weights


def _line(values: Array, length: int, axis: int) -> Array:
    """Read a picture at so many places along an axis, ends on ends, linearly."""
    place = np.arange(length) * (values.shape[axis] - 1) / (length - 1)
    low = np.minimum(np.floor(place).astype(np.int64), values.shape[axis] - 2)
    share = np.expand_dims(place - low, tuple(range(1, values.ndim - axis)))
    return (1 - share) * values.take(low, axis) + share * values.take(low + 1, axis)
