"""One opinion on a night image out of two: a teacher's at night, and another's on the day image of the pair.

MGCDA: Sakaridis et al., TPAMI 2020, and its code. Refign: Brueggemann et al., WACV 2023, and its code.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ...curriculum.confidence_fusion import DAY_WEIGHT, DYNAMIC_DOUBT, LOW_DAY_WEIGHT

#: Trust in the day where its image is not aligned with the night's (Refign's code).
UNALIGNED_TRUST = 0.5


def confident_fusion(night: Tensor, day: Tensor, dynamic: Tensor) -> Tensor:
    r"""MGCDA's fusion: each side counts as much as it is confident, the day a little less.

    .. math:: w = \frac{c_n}{c_n + A c_d}, \qquad p = w p_n + (1 - w) p_d

    with c the largest probability of each side; A = 0.6, but 0.3 where one side predicts a dynamic class that
    has at most 0.2 on the other. It sums to 1.

    Args:
        night (Tensor): p_n, ``(B, K, H, W)``.
        day (Tensor): p_d, same shape.
        dynamic (Tensor): Which classes are dynamic, ``(K,)`` bool.

    Returns:
        Tensor: ``(B, K, H, W)``.
    """
    night_weight = confident_weight(night, day, dynamic)
    return torch.lerp(day, night, night_weight.unsqueeze(1))


def confident_weight(night: Tensor, day: Tensor, dynamic: Tensor) -> Tensor:
    """W of :func:`confident_fusion`, ``(B, H, W)``; same arguments."""
    c_night, k_night = night.max(1)
    c_day, k_day = day.max(1)
    moved = _is_doubted(k_night, day, dynamic) | _is_doubted(k_day, night, dynamic)
    share = torch.full_like(c_night, DAY_WEIGHT).masked_fill(moved, LOW_DAY_WEIGHT)
    return c_night / (c_night + share * c_day)


def _is_doubted(winner: Tensor, other: Tensor, dynamic: Tensor) -> Tensor:
    """Where one side's class is dynamic and hardly possible on the other side."""
    probability = other.gather(1, winner.unsqueeze(1)).squeeze(1)
    return dynamic[winner] & (probability <= DYNAMIC_DOUBT)


def night_doubt(night: Tensor) -> Tensor:
    """S of :func:`refined_fusion`: the fourth root of the mean normalised entropy of each image.

    Args:
        night (Tensor): p_n, ``(B, K, H, W)``.

    Returns:
        Tensor: ``(B, 1, 1, 1)`` in [0, 1].
    """
    entropy = -torch.special.xlogy(night, night).sum(1) / math.log(night.shape[1])
    return entropy.mean((1, 2)).clamp_min(0).pow(0.25).view(-1, 1, 1, 1)


def alignment_trust(log_variance: Tensor, radius: float = 1.0) -> Tensor:
    r"""Probability that a warped pixel is off by less than a radius, :math:`1 - e^{-R^2 / (2 \sigma^2)}`.

    Args:
        log_variance (Tensor): :math:`\ln \sigma^2` of a flow, in pixels, of any shape.
        radius (float): R in pixels. Defaults to 1.0.

    Returns:
        Tensor: Same shape.
    """
    return -torch.expm1(-(radius**2) / (2 * log_variance.exp()))


def refined_fusion(
    night: Tensor,
    day: Tensor,
    large_static: Tensor,
    trust: Tensor | float = UNALIGNED_TRUST,
    valid: Tensor | None = None,
    normalize: bool = True,
) -> Tensor:
    r"""Refign's fusion: the day corrects an uncertain night, most of all where both see a large static class.

    .. math:: p = (1 - \epsilon) p_n + \epsilon p_d, \qquad \epsilon = s \max(P, M)

    s is :func:`night_doubt`. M is 1 on the channels of large static classes where both sides predict one, so
    the published p does not sum to 1.

    Args:
        night (Tensor): p_n, ``(B, K, H, W)``.
        day (Tensor): p_d, same shape.
        large_static (Tensor): Which classes are large and static, ``(K,)`` bool.
        trust (Tensor | float): P, ``(B, 1, H, W)`` or a number. Defaults to :data:`UNALIGNED_TRUST`.
        valid (Tensor, optional): Where the day image shows something, ``(B, H, W)`` bool; elsewhere the night decides
            alone. Defaults to None, everywhere.
        normalize (bool): Whether p is divided by its sum. Defaults to True.

    Returns:
        Tensor: ``(B, K, H, W)``.
    """
    both = large_static[night.argmax(1)] & large_static[day.argmax(1)]
    mask = (both.unsqueeze(1) & large_static.view(1, -1, 1, 1)).to(night.dtype)
    share = night_doubt(night) * mask.clamp_min(trust)
    if valid is not None:
        share = share * valid.unsqueeze(1)
    fused = torch.lerp(night, day, share)
    return fused / fused.sum(1, keepdim=True) if normalize else fused
