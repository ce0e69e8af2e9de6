"""Two opinions on a dark image become one: the dark one, and that on the day image of the same place.

GCMA (Sakaridis et al., ICCV 2019) and MGCDA (the same, TPAMI 2020); the constants are those of MGCDA's code.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]

#: Weight of the day's confidence against the night's, and the one where the two cannot both be right.
DAY_WEIGHT, LOW_DAY_WEIGHT = 0.6, 0.3
#: A dynamic class that one side predicts and the other gives at most this probability is traffic that has moved on.
DYNAMIC_DOUBT = 0.2
#: Train ids of what moves in Cityscapes: person, rider, car, truck, bus, train, motorcycle, bicycle.
DYNAMIC_CLASSES = tuple(range(11, 19))


class Fused(NamedTuple):
    """What comes out of a fusion.

    Attributes:
        probabilities: float64 ``(H, W, K)``, sum 1.
        doubted: bool ``(H, W)``: where the day had the low weight.
    """

    probabilities: Array
    doubted: npt.NDArray[np.bool_]


def fuse(
    dark: npt.ArrayLike,
    day: npt.ArrayLike,
    dynamic: Sequence[int] = DYNAMIC_CLASSES,
    day_weight: float = DAY_WEIGHT,
    low_day_weight: float = LOW_DAY_WEIGHT,
) -> Fused:
    r"""Mix two predictions, each as much as it is confident, the day a little less.

    .. math:: r = \frac{F_P\, p + \alpha F_Q\, q}{F_P + \alpha F_Q}

    with F the largest probability of p (dark) and of q (day) at the pixel. :math:`\alpha` is 0.6, but 0.3 where one
    side predicts a dynamic class that has at most 0.2 on the other. Equal confidences leave p the weight 0.625, or
    0.769. The largest probability of r is never above the larger of both.

    Args:
        dark: p, ``(H, W, K)``.
        day: q, brought into the dark view, same shape.
        dynamic: Ids of the dynamic classes.
        day_weight: :math:`\alpha`.
        low_day_weight: :math:`\alpha` where the two cannot both be right.

    Returns:
        r, and where :math:`\alpha` was the low one.
    """
    dark, day = np.asarray(dark, dtype=np.float64), np.asarray(day, dtype=np.float64)
    moves = np.isin(np.arange(dark.shape[-1]), np.asarray(list(dynamic), dtype=np.int64))
    doubted = _is_doubted(dark, day, moves) | _is_doubted(day, dark, moves)
    alpha = np.where(doubted, low_day_weight, day_weight)
    dark_share = dark.max(-1)[..., None]
    day_share = (alpha * day.max(-1))[..., None]
    return Fused((dark_share * dark + day_share * day) / (dark_share + day_share), doubted)


def _is_doubted(side: Array, other: Array, moves: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """Where the class of one side is dynamic and hardly possible on the other."""
    winner = side.argmax(-1)
    probability = np.take_along_axis(other, winner[..., None], -1)[..., 0]
    return moves[winner] & (probability <= DYNAMIC_DOUBT)
