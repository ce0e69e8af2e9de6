"""Sparsity of the channels that are active for a class (Toldo et al., UDAclustering, WACV 2021)."""

from __future__ import annotations

from torch import Tensor

from .feature_clustering import Centroids


def sparsity_loss(centroids: Centroids) -> Tensor:
    r"""L_sp: how undecided the channels of the centroids are.

    .. math:: L_{sp} = -\mathrm{mean}_{k, ch} \Big( \frac{C_k}{\max_{ch} C_k} - \tfrac{1}{2} \Big)^2

    over the classes that are present. It is smallest, -1/4, where a channel is either at the largest value or at 0. It
    is meant for features after a ReLU. Where a network gives negative ones, they count as 0, as inactive: with them the
    published term has no lower bound. So does a centroid without a positive channel, where the published code is not a
    number.

    Args:
        centroids (Centroids): Of all domains.

    Returns:
        Tensor: Scalar from -1/4 to 0; 0 if no class is present.
    """
    active = centroids.values.clamp_min(0)  # an exact 0 keeps its gradient, as published
    largest = active.amax(1, keepdim=True)
    shares = active / largest.where(largest > 0, largest.new_ones(()))
    per_class = (shares - 0.5).square().mean(1)
    return -(per_class * centroids.present).sum() / centroids.present.sum().clamp_min(1)
