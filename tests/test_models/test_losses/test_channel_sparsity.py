"""Sparsity of centroids, against numbers of the published code and by hand."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from golden_clusters import by_hand, golden

from mmseg_ccdistill.models.losses import class_centroids, sparsity_loss
from mmseg_ccdistill.models.losses.feature_clustering import Centroids


@pytest.mark.parametrize(
    ('case', 'expected'),
    [
        ({}, -0.0527078097535),
        (dict(batch=2), -0.0487291073996),
        (dict(is_missing=True), -0.0500912729682),
        (dict(has_labels=True), -0.0544769752286),
    ],
)
def test_published_numbers(case: dict[str, Any], expected: float) -> None:
    loss = sparsity_loss(class_centroids(golden(**case).assigned))
    assert loss.item() == pytest.approx(expected, abs=1e-9)


def test_by_hand() -> None:
    source, target = by_hand((2, 0, 1), (0, 1, 1)), by_hand((4, 0, 1), (0, 3, 1))
    loss = sparsity_loss(class_centroids([source, target]))
    assert loss.item() == pytest.approx(-0.1712962963, abs=1e-9)
    axes = by_hand((1, 0, 0), (0, 1, 0))
    assert sparsity_loss(class_centroids([axes, axes])).item() == -0.25


def of(*rows: tuple[float, ...], present: tuple[bool, ...]) -> Centroids:
    return Centroids(torch.tensor(rows).requires_grad_(), torch.tensor(present))


def test_a_centroid_of_zeros_and_an_absent_class() -> None:
    """The published code divides 0 by 0. An absent class counts for nothing."""
    centroids = of((0.0, 0.0), (1.0, 0.5), (0.0, 0.0), present=(True, True, False))
    loss = sparsity_loss(centroids)
    loss.backward()
    assert loss.item() == pytest.approx(-(0.25 + 0.125) / 2)
    gradient = centroids.values.grad
    assert gradient is not None and gradient.isfinite().all() and not gradient[2].any()
    assert sparsity_loss(of((0.0, 0.0), present=(False,))) == 0


def test_negative_channels_count_as_inactive() -> None:
    """Without this the term has no lower bound: -3 beside 1 would give -(3.5²)."""
    centroids = of((1.0, -3.0), present=(True,))
    loss = sparsity_loss(centroids)
    loss.backward()
    assert loss.item() == -0.25
    assert centroids.values.grad is not None and centroids.values.grad[0, 1] == 0
    assert sparsity_loss(of((-1.0, -3.0), present=(True,))).item() == -0.25
