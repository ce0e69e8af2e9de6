"""Classes of the positions of a feature map."""

from __future__ import annotations

import torch

from mmseg_ccdistill.models.losses.position_classes import (
    nearest_classes,
    predicted_classes,
    with_classes,
)


def test_the_shrunk_probabilities_and_the_nearest_pixel_may_differ() -> None:
    """Two places of a row of five with corners aligned: the outer pixels. Nearest: pixels 0 and 2."""
    p = torch.tensor([[0.9, 0.2, 0.1, 0.2, 0.8], [0.1, 0.8, 0.9, 0.8, 0.2]]).view(1, 2, 1, 5)
    assert predicted_classes(p, (1, 2)).tolist() == [[[0, 0]]]
    assert nearest_classes(p.argmax(1), (1, 2)).tolist() == [[[0, 1]]]


def test_a_label_that_is_no_class_puts_a_position_in_none() -> None:
    labels = torch.tensor([[[0, 255], [2, 1]]])
    features = torch.randn(1, 4, 2, 2, requires_grad=True)
    found = with_classes(features, nearest_classes(labels, (2, 2)), 3)
    assert torch.equal(found.features, features.flatten(2))
    assert found.members[0].t().tolist() == [[1, 0, 0], [0, 0, 0], [0, 0, 1], [0, 1, 0]]
    assert not found.members.requires_grad
