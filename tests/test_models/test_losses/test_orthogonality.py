"""Orthogonality of features, against numbers of the published code and by hand."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from golden_clusters import by_hand, golden
from torch.nn import functional as F

from mmseg_ccdistill.models.losses import centroid_scores, class_centroids, orthogonality_loss
from mmseg_ccdistill.models.losses.orthogonality import orthogonality_scale
from mmseg_ccdistill.models.losses.position_classes import ClassedFeatures, with_classes


def scores_of(domains: list[ClassedFeatures], **settings: Any) -> torch.Tensor:
    return centroid_scores(domains, class_centroids(domains), **settings)


@pytest.mark.parametrize(
    ('case', 'expected'),
    [
        ({}, 0.141556883948),
        (dict(batch=2), 0.149757683872),
        (dict(is_missing=True), 0.264410098912),
        (dict(has_labels=True), 0.136345227128),
    ],
)
def test_published_numbers(case: dict[str, Any], expected: float) -> None:
    loss = orthogonality_loss(scores_of(golden(**case).assigned))
    assert loss.item() == pytest.approx(expected, abs=1e-9)


def test_by_hand() -> None:
    source, target = by_hand((2, 0, 1), (0, 1, 1)), by_hand((4, 0, 1), (0, 3, 1))
    loss = orthogonality_loss(scores_of([source, target]))
    assert loss.item() == pytest.approx(0.05000457219, abs=1e-9)
    axes = by_hand((1, 0, 0), (0, 1, 0))
    assert orthogonality_loss(scores_of([axes, axes])).item() == pytest.approx(
        0.2911015544, abs=1e-9
    )


def test_its_largest_value_and_temperature() -> None:
    """Features of 0 point to no class; a high temperature makes all alike."""
    silent = ClassedFeatures(torch.zeros(1, 4, 3), torch.eye(3).unsqueeze(0))
    assert orthogonality_loss(scores_of([silent])).item() == pytest.approx(math.log(3) / 3)
    warm = scores_of(golden().assigned, temperature=1e9)
    assert orthogonality_loss(warm).item() == pytest.approx(math.log(19) / 19)


def wide(channels: int, factor: float = 1.0) -> list[ClassedFeatures]:
    """Features after a ReLU, all 19 classes, of a width."""
    generator = torch.Generator().manual_seed(0)
    features = torch.randn(2, channels, 9, 13, generator=generator).relu() * factor
    classes = torch.randint(0, 19, (2, 9, 13), generator=generator)
    return [with_classes(features.requires_grad_(), classes, 19)]


def test_wide_features_turn_it_off_and_the_log_shows_it() -> None:
    """Dot products grow with the channels; the softmax then has one class."""
    narrow, broad = (scores_of(wide(channels)) for channels in (32, 2048))
    assert orthogonality_loss(narrow) > 0.05 and orthogonality_loss(broad) < 1e-6
    (spread, gradient), (broad_spread, broad_gradient) = map(orthogonality_scale, (narrow, broad))
    assert broad_spread > 10 * spread and broad_gradient < 1e-4 * gradient
    assert orthogonality_loss(scores_of(wide(2048, 0.1))) > 0.1
    assert orthogonality_loss(scores_of(wide(2048), normalize=True)) > 0.1


def test_normalised_scores_are_cosines() -> None:
    domains = golden(is_missing=True).assigned
    centroids = class_centroids(domains)
    found = centroid_scores(domains, centroids, normalize=True)
    rows = torch.cat([d.features.transpose(1, 2).flatten(0, 1) for d in domains])
    expected = F.cosine_similarity(rows.unsqueeze(1), centroids.values.unsqueeze(0), dim=2)
    torch.testing.assert_close(found[:, centroids.present], expected[:, centroids.present])
    assert found[:, ~centroids.present].isneginf().all()


def test_the_scale_is_the_gradient_of_autograd() -> None:
    scores = scores_of(golden(is_missing=True).assigned).detach().requires_grad_()
    orthogonality_loss(scores).backward()
    spread, gradient = orthogonality_scale(scores)
    assert scores.grad is not None and scores.grad.isfinite().all()
    assert gradient.item() == pytest.approx(scores.grad.norm().item())
    present = scores[:, ~scores.isneginf().any(0)]
    expected = (present.amax(1) - present.mean(1)).mean()
    assert spread.item() == pytest.approx(expected.item())


@pytest.mark.parametrize(('classes', 'number'), [([0, 0], 1), ([255, 255], 0)])
def test_one_class_and_none_are_0_with_finite_gradients(classes: list[int], number: int) -> None:
    features = torch.rand(1, 4, 1, 2, requires_grad=True)
    domain = with_classes(features, torch.tensor([[classes]]), 3)
    centroids = class_centroids([domain])
    assert centroids.present.sum() == number
    scores = centroid_scores([domain], centroids)
    loss = orthogonality_loss(scores)
    loss.backward()
    assert loss == 0 and features.grad is not None and features.grad.isfinite().all()
    assert number == 0 or all(value.isfinite() for value in orthogonality_scale(scores))
