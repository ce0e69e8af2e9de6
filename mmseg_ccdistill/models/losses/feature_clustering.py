r"""Class-wise clustering of features (Toldo et al., UDAclustering, WACV 2021).

.. math:: L_{cl} = f_S + f_T - c

f draws the features of a class to its centroid, c drives the centroids of two classes apart. Features and centroids
both have a gradient; the classes of the positions have none.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from .position_classes import ClassedFeatures


class Centroids(NamedTuple):
    """Mean feature of each class.

    Attributes:
        values: ``(K, C)``; 0 for a class without a position.
        present: ``(K,)`` bool, whether a class has a position.
    """

    values: Tensor
    present: Tensor


def class_centroids(domains: Sequence[ClassedFeatures]) -> Centroids:
    """Mean feature of each class over all images of all domains.

    Args:
        domains (Sequence[ClassedFeatures]): Domains of one number of channels.

    Returns:
        Centroids: On the graph of the features.
    """
    sums = torch.stack([(d.members @ d.features.transpose(1, 2)).sum(0) for d in domains]).sum(0)
    counts = torch.stack([d.members.sum((0, 2)) for d in domains]).sum(0)
    return Centroids(sums / counts.clamp_min(1).unsqueeze(1), counts > 0)


def distance_to_centroids(domain: ClassedFeatures, centroids: Centroids) -> Tensor:
    r"""f: how far the features of a domain are from the centroids of their classes.

    .. math:: f = \mathrm{mean}_k \, \mathrm{mean}_{n \in k} \, \mathrm{mean}_{ch} |C_k - f_n|

    over the classes that the domain has.

    Args:
        domain (ClassedFeatures): Features and classes.
        centroids (Centroids): Of all domains.

    Returns:
        Tensor: Scalar; 0 if no position has a class.
    """
    own = centroids.values.t() @ domain.members  # (B, C, P)
    distances = (own - domain.features).abs().mean(1, keepdim=True)
    counts = domain.members.sum((0, 2))
    means = (domain.members * distances).sum((0, 2)) / counts.clamp_min(1)
    return means.sum() / (counts > 0).sum().clamp_min(1)


def distance_between_centroids(centroids: Centroids) -> Tensor:
    r"""c: how far the centroids are from each other.

    .. math:: c = \mathrm{mean}_k \, \mathrm{mean}_{j \ne k} \, \mathrm{mean}_{ch} |C_k - C_j|

    over the classes that are present.

    Args:
        centroids (Centroids): Of all domains.

    Returns:
        Tensor: Scalar; 0 for a single class, where the published code is not a number.
    """
    values, present = centroids
    distances = (values.unsqueeze(0) - values.unsqueeze(1)).abs().mean(2)
    pairs = (present.unsqueeze(0) & present.unsqueeze(1)).to(distances.dtype)
    count = present.sum()
    return (distances * pairs).sum() / (count * (count - 1)).clamp_min(1)


def clustering_loss(source: ClassedFeatures, target: ClassedFeatures) -> Tensor:
    """L_cl = f_S + f_T - c; it may be negative.

    Args:
        source (ClassedFeatures): Features of S and their classes.
        target (ClassedFeatures): Features of T and their classes.

    Returns:
        Tensor: Scalar.
    """
    centroids = class_centroids([source, target])
    near = distance_to_centroids(source, centroids) + distance_to_centroids(target, centroids)
    return near - distance_between_centroids(centroids)
