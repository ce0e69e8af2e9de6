"""Jensen-Shannon divergence of two embedding maps (the D_JS of Eq. 1)."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from ...errors import UserInputError
from ..precision import autocast_off, full_precision


def log_distribution(embedding: Tensor, tau: float = 1.0) -> Tensor:
    """Log-probabilities of an embedding map, softmax over channels at every position.

    The paper does not say how a unit vector, which has negative entries, becomes a distribution;
    this is the one reading that keeps positions apart and needs no further parameter.

    Args:
        embedding (Tensor): ``(B, C, H, W)``, float32 or float64.
        tau (float): Temperature. Defaults to 1.0.

    Returns:
        Tensor: ``(B, C, H, W)``, same dtype.
    """
    return (embedding / tau if tau != 1.0 else embedding).log_softmax(dim=1)


def js_of_log_distributions(log_p: Tensor, log_q: Tensor) -> Tensor:
    r"""JS divergence at every position, from log-probabilities.

    With the mixture :math:`m = (p + q)/2` and :math:`r_c = p_c / (p_c + q_c) = \sigma(\ln p_c - \ln
    q_c)`, the posterior of "drawn from p" given channel c,

    .. math:: \mathrm{JS}(p, q) = \tfrac12 KL(p \| m) + \tfrac12 KL(q \| m)
        = \sum_c m_c \, (\ln 2 - H(r_c)), \quad H(r) = -r \ln r - (1 - r) \ln(1 - r).

    Every summand lies between 0 and ln 2 and is computed from one difference, so nothing overflows
    and the entropies of p and q (5.5 for 256 channels, against a divergence of about 1e-3) are
    never subtracted from each other. In float32, with 256 channels and tau 1, a divergence of 4e-7
    (cos 0.9996) is right to 1 %; below 1e-8 (cos > 0.99999) rounding prevails.

    Args:
        log_p (Tensor): Log-probabilities ``(B, C, H, W)``, finite.
        log_q (Tensor): Same shape and dtype.

    Returns:
        Tensor: ``(B, H, W)``, in nats, between 0 and ln 2.
    """
    odds = torch.maximum(log_p, log_q) - torch.minimum(log_p, log_q)  # keeps nothing, as abs would
    information = _Information.apply(odds)
    return ((log_p.exp() + log_q.exp()) / 2 * information).sum(dim=1)


class _Information(torch.autograd.Function):
    r"""ln 2 - H(sigma(x)) for x >= 0. Its derivative :math:`x \, \sigma(x) \sigma(-x)` needs x alone."""

    @staticmethod
    def forward(context: Any, odds: Tensor) -> Tensor:
        context.save_for_backward(odds)
        return math.log(2) + F.logsigmoid(odds) - odds * (-odds).sigmoid()

    @staticmethod
    def backward(context: Any, gradient: Tensor) -> Tensor:
        (odds,) = context.saved_tensors
        return gradient * odds * odds.sigmoid() * (-odds).sigmoid()


def js_divergence(
    e_a: Tensor, e_b: Tensor, tau: float = 1.0, reduction: str = 'batchmean'
) -> Tensor:
    r"""Jensen-Shannon divergence of two embedding maps.

    At each position p = softmax(e_a / tau) and q = softmax(e_b / tau) over channels. For unit
    vectors JS is about (1 - cos) / (4 C tau^2): with C = 256 and tau = 1 orthogonal vectors have
    about 1e-3, so the mean over positions is a no-op as a loss. The sum over a 16 x 16 grid
    (``'batchmean'``) is 0.25 for random vectors.

    Both arguments receive gradient. Computed in float32 (float64 stays float64) whatever autocast
    says.

    Args:
        e_a (Tensor): ``(B, C, H, W)`` unit vectors.
        e_b (Tensor): ``(B, C, H, W)`` unit vectors.
        tau (float): Temperature, positive. Defaults to 1.0.
        reduction (str): ``'batchmean'``: sum over positions, mean over the batch. ``'mean'``: mean
            over positions and batch. ``'none'``: the map. Defaults to ``'batchmean'``.

    Returns:
        Tensor: Scalar, or ``(B, H, W)`` for ``'none'``; in nats.

    Raises:
        ValueError: If the shapes differ, ``tau`` is not positive, or the reduction is unknown.
    """
    if e_a.shape != e_b.shape:
        raise UserInputError(
            'js_divergence compares maps of one shape, '
            f'got {tuple(e_a.shape)} and {tuple(e_b.shape)}.'
        )
    if tau <= 0:
        raise ValueError(f'tau must be positive, got {tau}.')
    if reduction not in ('batchmean', 'mean', 'none'):
        raise ValueError(f"reduction must be 'batchmean', 'mean' or 'none', got {reduction!r}.")
    with autocast_off(e_a):
        js = js_of_log_distributions(
            log_distribution(full_precision(e_a), tau), log_distribution(full_precision(e_b), tau)
        )
        if reduction == 'none':
            return js
        return js.mean() if reduction == 'mean' else js.sum() / js.shape[0]
