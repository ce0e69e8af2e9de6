"""Clustering of features, against numbers of the published code and by hand."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from golden_clusters import CLASSES, by_hand, golden

from mmseg_ccdistill.models.losses import (
    centroid_scores,
    class_centroids,
    clustering_loss,
    orthogonality_loss,
    sparsity_loss,
)
from mmseg_ccdistill.models.losses.feature_clustering import (
    distance_between_centroids,
    distance_to_centroids,
)
from mmseg_ccdistill.models.losses.position_classes import ClassedFeatures, with_classes

GOLDEN: list[tuple[dict[str, Any], tuple[float, float, float]]] = [
    ({}, (0.20691608393, 0.435003155514, 0.436817147595)),
    (dict(batch=2), (0.140313207786, 0.450383464449, 0.44846679604)),
    (dict(is_missing=True), (0.123353850116, 0.451394532985, 0.458389353383)),
    (dict(has_labels=True), (0.210900202378, 0.42719365795, 0.43803004976)),
]


@pytest.mark.parametrize(('case', 'expected'), GOLDEN)
def test_published_numbers(case: dict[str, Any], expected: tuple[float, float, float]) -> None:
    """c, f_S and f_T: one image, two, seven classes, labels as classes of S."""
    source, target = golden(**case).clustered
    centroids = class_centroids([source, target])
    found = [
        distance_between_centroids(centroids),
        distance_to_centroids(source, centroids),
        distance_to_centroids(target, centroids),
    ]
    assert [value.item() for value in found] == pytest.approx(expected, abs=1e-9)
    loss = clustering_loss(source, target).item()
    assert loss == pytest.approx(expected[1] + expected[2] - expected[0], abs=1e-9)


def test_the_sum_of_the_three_and_its_gradients() -> None:
    case = golden()
    centroids = class_centroids(case.assigned)
    ortho = orthogonality_loss(centroid_scores(case.assigned, centroids))
    loss = 0.02 * clustering_loss(*case.clustered) + 2 * ortho + 0.5 * sparsity_loss(centroids)
    assert loss.item() == pytest.approx(0.270057947403, abs=1e-9)
    loss.backward()
    norms = [f.grad.norm().item() for f in case.features if f.grad is not None]
    assert norms == pytest.approx([0.00614752704, 0.0067637639], abs=1e-9)


def test_by_hand() -> None:
    """Two classes of three channels, one position each in S and T."""
    source, target = by_hand((2, 0, 1), (0, 1, 1)), by_hand((4, 0, 1), (0, 3, 1))
    centroids = class_centroids([source, target])
    assert centroids.values.tolist() == [[3, 0, 1], [0, 2, 1]]
    assert distance_between_centroids(centroids).item() == pytest.approx(5 / 3)
    assert distance_to_centroids(source, centroids).item() == pytest.approx(1 / 3)
    assert distance_to_centroids(target, centroids).item() == pytest.approx(1 / 3)
    axes = by_hand((1, 0, 0), (0, 1, 0))
    centroids = class_centroids([axes, axes])
    assert distance_between_centroids(centroids).item() == pytest.approx(2 / 3)
    assert distance_to_centroids(axes, centroids).item() == 0


def test_loops_over_classes_say_the_same() -> None:
    source, target = golden(batch=2, is_missing=True).clustered
    flat = [d.features.transpose(1, 2).flatten(0, 1) for d in (source, target)]
    classes = [d.members.argmax(1).flatten() for d in (source, target)]
    every, which = torch.cat(flat), torch.cat(classes)
    means = {k: every[which == k].mean(0) for k in which.unique().tolist()}
    near = sum(
        torch.stack([(f[k == c] - means[c]).abs().mean() for c in k.unique().tolist()]).mean()
        for f, k in zip(flat, classes, strict=True)
    )
    apart = torch.stack(
        [(means[a] - means[b]).abs().mean() for a in means for b in means if a != b]
    ).mean()
    torch.testing.assert_close(clustering_loss(source, target), near - apart)


def test_one_class_has_nothing_to_keep_apart_from() -> None:
    """The published code divides by the number of other classes, 0."""
    one = with_classes(torch.rand(1, 4, 2, 2, requires_grad=True), torch.zeros(1, 2, 2).long(), 3)
    assert distance_between_centroids(class_centroids([one, one])) == 0
    loss = clustering_loss(one, one)
    (gradient,) = torch.autograd.grad(loss, one.features)
    assert loss > 0 and gradient.isfinite().all()


def test_positions_without_a_class_are_in_no_cluster() -> None:
    features = torch.rand(1, 4, 2, 2, requires_grad=True)
    none = with_classes(features, torch.full((1, 2, 2), 255), 3)
    assert clustering_loss(none, none) == 0
    target = with_classes(torch.rand(1, 4, 2, 2), torch.tensor([[[0, 1], [1, 2]]]), 3)
    loss = clustering_loss(none, target)
    alone = class_centroids([target])
    expected = distance_to_centroids(target, alone) - distance_between_centroids(alone)
    torch.testing.assert_close(loss, expected)
    loss.backward()
    assert features.grad is not None and not features.grad.any()


def test_features_and_centroids_have_a_gradient() -> None:
    """With constant centroids the derivative of f for a feature would be 1 / (N C) alone."""
    source, target = golden().clustered
    found = torch.autograd.grad(clustering_loss(source, target), source.features)[0]
    centroids = class_centroids([source, target])
    constant = centroids._replace(values=centroids.values.detach())
    near = distance_to_centroids(source, constant) + distance_to_centroids(target, constant)
    without = torch.autograd.grad(near, source.features)[0]
    assert not torch.allclose(found, without)
    assert isinstance(source, ClassedFeatures) and source.members.shape[1] == CLASSES
