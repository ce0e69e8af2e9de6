"""The features, predictions and classes of the golden numbers of UDAclustering: two domains in float64."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from golden_maps import normal
from torch import Tensor
from torch.nn import functional as F

from mmseg_ccdistill.models.losses.position_classes import (
    ClassedFeatures,
    nearest_classes,
    predicted_classes,
    with_classes,
)

GRID, SIZE, CLASSES = (9, 13), (64, 96), 19


class Golden(NamedTuple):
    """S and T.

    Attributes:
        features: Leaves ``(B, 32, 9, 13)`` with a gradient.
        probabilities: Softmax at 64 x 96.
        clustered: Features with the classes of the shrunk probabilities.
        assigned: Features with the classes of the nearest pixel.
    """

    features: list[Tensor]
    probabilities: list[Tensor]
    clustered: list[ClassedFeatures]
    assigned: list[ClassedFeatures]


def golden(batch: int = 1, is_missing: bool = False, has_labels: bool = False) -> Golden:
    """Make them.

    Args:
        batch (int): Images of each domain.
        is_missing (bool): Whether twelve classes are never predicted.
        has_labels (bool): Whether labels give the classes of S; the first rows have none.
    """
    shapes = ((batch, 32, *GRID), (batch, CLASSES, *GRID))
    features = [normal(seed, *shapes[0]).clamp_min(0).requires_grad_() for seed in (2000, 2001)]
    logits = [2 * normal(seed, *shapes[1]) for seed in (2002, 2003)]
    if is_missing:
        logits[0][:, 0:5] += 6
        logits[1][:, 2:7] += 6
    p = [F.interpolate(z, SIZE, mode='bilinear', align_corners=True).softmax(1) for z in logits]
    shrunk = [predicted_classes(q, GRID) for q in p]
    nearest = [nearest_classes(q.argmax(1), GRID) for q in p]
    if has_labels:
        labels = torch.from_numpy(np.random.RandomState(2004).randint(0, CLASSES, (1, *SIZE)))
        labels[:, :8] = 255
        shrunk[0] = nearest[0] = nearest_classes(labels, GRID)
    clustered, assigned = (
        [with_classes(f, c, CLASSES) for f, c in zip(features, classes, strict=True)]
        for classes in (shrunk, nearest)
    )
    return Golden(features, p, clustered, assigned)


def by_hand(*values: tuple[float, ...]) -> ClassedFeatures:
    """One image whose positions have these features and belong to class 0, 1, ... in this order."""
    features = torch.tensor(values, dtype=torch.float64).t().unsqueeze(0).requires_grad_()
    return ClassedFeatures(features, torch.eye(len(values), dtype=torch.float64).unsqueeze(0))
