"""The loss of each part of a mixed batch: golden values of means, their sum, and one mean over all."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from mmseg_ccdistill.models.losses.loss_by_part import loss_by_part, weigh_parts


def normal(seed: int) -> Tensor:
    return torch.from_numpy(np.random.RandomState(seed).standard_normal((2, 19, 8, 8)))


def cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    return F.cross_entropy(logits, labels, ignore_index=255)


@pytest.fixture
def batch() -> tuple[Tensor, Tensor]:
    """Two labelled images, 10 of whose pixels are ignored, and two with the argmax as pseudo label."""
    given = np.random.RandomState(43).randint(0, 20, (2, 8, 8))
    source = torch.from_numpy(np.where(given == 19, 255, given)).long()
    pseudo = normal(44).argmax(1)
    assert (source == 255).sum() == 10 and pseudo.sum() == 1159
    return torch.cat([normal(41), normal(42)]), torch.cat([source, pseudo])


def test_the_means_of_the_parts_and_their_weighted_sums(batch: tuple[Tensor, Tensor]) -> None:
    found = loss_by_part(cross_entropy, *batch, ['day', 'day', 'dusk', 'dusk'])
    assert list(found) == ['day', 'dusk']
    assert found['day'].item() == pytest.approx(3.35114035852, abs=1e-11)
    assert found['dusk'].item() == pytest.approx(3.41230370465, abs=1e-11)
    for weight, expected in ((1.0, 6.76344406317), (0.5, 5.05729221085)):
        total = weigh_parts(found, {'day': 1.0, 'dusk': weight})
        assert total.item() == pytest.approx(expected, abs=1e-11)


def test_one_mean_over_the_batch_is_neither(batch: tuple[Tensor, Tensor]) -> None:
    assert cross_entropy(*batch).item() == pytest.approx(3.38296518903, abs=1e-11)


def test_the_order_of_the_images_makes_no_difference(batch: tuple[Tensor, Tensor]) -> None:
    order = [2, 0, 3, 1]
    mixed = loss_by_part(
        cross_entropy, batch[0][order], batch[1][order], ['dusk', 'day', 'dusk', 'day']
    )
    found = loss_by_part(cross_entropy, *batch, ['day', 'day', 'dusk', 'dusk'])
    assert set(mixed) == set(found)
    for name, value in found.items():
        assert mixed[name].item() == pytest.approx(value.item(), rel=1e-12)


def test_the_confidence_of_the_pseudo_labels() -> None:
    """What a threshold on them would keep: 15 % of the pixels at 0.3."""
    top = normal(44).softmax(1).amax(1)
    assert top.min().item() == pytest.approx(0.0976305530, abs=1e-10)
    assert top.max().item() == pytest.approx(0.549454699, abs=1e-9)
    assert (top > 0.3).double().mean().item() == 0.1484375
