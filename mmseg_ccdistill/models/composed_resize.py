r"""From the logits of a network straight to the label map of an image.

MMSegmentation resizes logits twice, bilinear each time: from the size of the decode head to that of the network's
image, without its padding, and from there to the image file. Both are linear in rows and in columns, so

.. math:: Y_k = (R_2 R_1) \, Z_k \, (C_2 C_1)^T

with one matrix for the rows and one for the columns, each composed of the two steps. The label is the class of the
largest :math:`Y_k`. It is made strip by strip: the logits at the size of the file, 19 numbers for each pixel, never
exist as a whole. A single resize to the last size would be another function: it has no kinks at the pixels between.
"""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import Tensor
from torch.nn import functional as F

from .precision import autocast_off, full_precision

#: Rows of a strip: on a CPU its logits stay in the second cache (19 x 20 x 1920 floats are 3 MB).
STRIP_ROWS = 20


def interpolation_matrix(
    size_in: int, size_out: int, align_corners: bool, padding: tuple[int, int] = (0, 0)
) -> Tensor:
    """Linear interpolation along one axis as a matrix: what ``F.interpolate`` makes of the unit vectors.

    Args:
        size_in: Samples of the input.
        size_out: Samples of the output, padding included.
        align_corners: See ``F.interpolate``.
        padding: Samples of the output that are cut off at its beginning and end. Defaults to none.

    Returns:
        ``(size_out - sum(padding), size_in)`` float64; every row sums to 1.
    """
    units = torch.eye(size_in, dtype=torch.float64)[None]
    matrix = F.interpolate(units, size_out, mode='linear', align_corners=align_corners)[0].T
    return matrix[padding[0] : size_out - padding[1]]


@lru_cache(maxsize=8)
def composed_matrix(
    size_in: int, between: int, size_out: int, align_corners: bool, padding: tuple[int, int]
) -> Tensor:
    """Both steps along one axis: ``(size_out, size_in)`` float32.

    Args:
        size_in: Samples of the logits.
        between: Samples of the network's image, padding included.
        size_out: Samples of the label map.
        align_corners: See ``F.interpolate``.
        padding: Samples of padding at the beginning and the end of the network's image.
    """
    first = interpolation_matrix(size_in, between, align_corners, padding)
    second = interpolation_matrix(len(first), size_out, align_corners)
    return (second @ first).float()


@torch.no_grad()
def label_map(
    logits: Tensor,
    between: tuple[int, int],
    size: tuple[int, int],
    align_corners: bool,
    padding: tuple[int, int, int, int] = (0, 0, 0, 0),
    strip_rows: int = STRIP_ROWS,
) -> Tensor:
    """Labels at the size of an image file.

    They are those of MMSegmentation's two steps up to ties: float32 rounds otherwise.

    Args:
        logits: ``(K, h, w)`` of the decode head, K at least 2.
        between: Height and width of the network's image, padding included.
        size: Height and width of the label map.
        align_corners: See ``F.interpolate``.
        padding: Padding of the network's image in pixels: left, right, top, bottom. Defaults to none.
        strip_rows: Rows of a strip. Defaults to :data:`STRIP_ROWS`.

    Returns:
        ``size`` int64 class indices on the device of the logits.
    """
    left, right, top, bottom = padding
    with autocast_off(logits):
        height, width = logits.shape[1:]
        rows = composed_matrix(height, between[0], size[0], align_corners, (top, bottom))
        columns = composed_matrix(width, between[1], size[1], align_corners, (left, right))
        used = rows != 0
        first = used.int().argmax(dim=1).tolist()
        last = (height - used.flip(1).int().argmax(dim=1)).tolist()
        rows, columns = rows.to(logits.device), columns.to(logits.device)
        wide = full_precision(logits) @ columns.T.to(
            torch.promote_types(logits.dtype, torch.float32)
        )
        labels = torch.empty(size, dtype=torch.int64, device=logits.device)
        for start in range(0, size[0], strip_rows):
            stop = min(size[0], start + strip_rows)
            low, high = min(first[start:stop]), max(last[start:stop])
            strip = rows[start:stop, low:high].to(wide.dtype) @ wide[:, low:high]
            labels[start:stop] = strip.max(dim=0).indices  # argmax, and faster on a CPU
    return labels
