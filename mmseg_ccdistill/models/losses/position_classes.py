"""Which class each position of a feature map belongs to, and the features of one domain with their classes."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F


class ClassedFeatures(NamedTuple):
    """Features of one domain and the class of each position.

    Attributes:
        features: ``(B, C, P)``, P positions.
        members: ``(B, K, P)``, 1 where a position belongs to a class, else 0; a position may belong to none.
    """

    features: Tensor
    members: Tensor


@torch.no_grad()
def predicted_classes(probabilities: Tensor, size: tuple[int, int]) -> Tensor:
    """Class of each position of a smaller map: the largest of the probabilities, shrunk (bilinear, corners aligned).

    Args:
        probabilities (Tensor): ``(B, K, H, W)``.
        size (tuple[int, int]): Height and width of the map.

    Returns:
        Tensor: ``(B, h, w)`` int64.
    """
    return F.interpolate(probabilities, size, mode='bilinear', align_corners=True).argmax(1)


@torch.no_grad()
def nearest_classes(labels: Tensor, size: tuple[int, int]) -> Tensor:
    """Class of each position of a smaller map: the label of the nearest pixel.

    Args:
        labels (Tensor): ``(B, H, W)`` int64.
        size (tuple[int, int]): Height and width of the map.

    Returns:
        Tensor: ``(B, h, w)`` int64.
    """
    return F.interpolate(labels.unsqueeze(1).float(), size, mode='nearest').squeeze(1).long()


def with_classes(features: Tensor, classes: Tensor, num_classes: int) -> ClassedFeatures:
    """Join features and classes.

    Args:
        features (Tensor): ``(B, C, h, w)``.
        classes (Tensor): ``(B, h, w)`` int64; a value that is no class (255) puts a position in none.
        num_classes (int): K.

    Returns:
        ClassedFeatures: The features, on the same graph.
    """
    numbers = torch.arange(num_classes, device=classes.device).view(1, -1, 1)
    members = classes.flatten(1).unsqueeze(1) == numbers
    return ClassedFeatures(features.flatten(2), members.to(features.dtype))
