"""Orthogonality of the features of different classes (Toldo et al., UDAclustering, WACV 2021)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from .feature_clustering import Centroids
from .position_classes import ClassedFeatures


def centroid_scores(
    domains: Sequence[ClassedFeatures],
    centroids: Centroids,
    temperature: float = 1.0,
    normalize: bool = False,
) -> Tensor:
    """Dot product of the feature of each position with each centroid.

    Args:
        domains (Sequence[ClassedFeatures]): N positions in all.
        centroids (Centroids): Of all domains.
        temperature (float): Divides the products. Defaults to 1.
        normalize (bool): Cosines in place of dot products. Ours, not in the paper: with 2048 channels the products
            are so large that the softmax has one class and the loss no gradient. Defaults to False.

    Returns:
        Tensor: ``(N, K)``; -inf for a class that is not present.
    """
    values = F.normalize(centroids.values, dim=1) if normalize else centroids.values
    parts = []
    for domain in domains:
        features = F.normalize(domain.features, dim=1) if normalize else domain.features
        parts.append((values @ features).transpose(1, 2).flatten(0, 1))
    scores = torch.cat(parts) / temperature
    return scores.masked_fill(~centroids.present, -torch.inf)


def _log_assignment(scores: Tensor) -> Tensor:
    """Logarithm of q, and 0 for a class that is not present, so that q ln q and its gradient are 0 there."""
    return scores.log_softmax(1).masked_fill(scores == -torch.inf, 0)


def orthogonality_loss(scores: Tensor) -> Tensor:
    r"""L_or: how evenly a feature points to the centroids of all classes.

    .. math:: L_{or} = -\frac{1}{N K'} \sum_{n,k} q_{nk} \ln q_{nk}, \qquad q_n = \mathrm{softmax}_k (f_n \cdot C_k)

    with K' the number of classes that are present: the mean entropy, divided by K'. Its largest value is ln K' / K'.

    Args:
        scores (Tensor): ``(N, K)`` of :func:`centroid_scores`.

    Returns:
        Tensor: Scalar; 0 if no class is present.
    """
    log_q = _log_assignment(scores)
    present = (scores > -torch.inf).any(0).sum()
    return -(log_q.exp() * log_q).sum() / (len(scores) * present).clamp_min(1)


@torch.no_grad()
def orthogonality_scale(scores: Tensor) -> tuple[Tensor, Tensor]:
    """How large the scores are, and how much of a gradient they leave.

    Args:
        scores (Tensor): ``(N, K)`` of :func:`centroid_scores`.

    Returns:
        tuple[Tensor, Tensor]: Mean over the positions of the largest score minus the mean score of the present classes;
        norm of the gradient of L_or with respect to the scores. Where the first is in the hundreds, the second is
        usually near 0: the loss is off.
    """
    is_present = scores > -torch.inf
    present = is_present.sum(1).clamp_min(1)
    finite = scores.masked_fill(~is_present, 0)
    spread = (scores.amax(1) - finite.sum(1) / present).mean()
    log_q = _log_assignment(scores)
    q = log_q.exp() * is_present
    entropy = -(q * log_q).sum(1, keepdim=True)
    gradient = -q * (log_q + entropy) / (len(scores) * present.unsqueeze(1))
    return spread, gradient.norm()
