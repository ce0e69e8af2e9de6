"""Fusion of day and night against the numbers of the public codes."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from mmseg_ccdistill.models.self_training.day_night_fusion import (
    alignment_trust,
    confident_fusion,
    confident_weight,
    night_doubt,
    refined_fusion,
)

DYNAMIC = torch.arange(19) >= 11
LARGE = torch.isin(torch.arange(19), torch.tensor([0, 1, 2, 3, 4, 8, 9, 10]))


def random(seed: int, *shape: int) -> Tensor:
    return torch.from_numpy(np.random.RandomState(seed).standard_normal(shape))


NIGHT, DAY = ((3 * random(seed, 2, 19, 6, 6)).softmax(1) for seed in (9, 10))
TRUST = alignment_trust(random(11, 2, 1, 6, 6))
VALID = torch.from_numpy(np.random.RandomState(12).random_sample((2, 6, 6)) > 0.2)


def test_trust_in_an_alignment() -> None:
    assert TRUST.mean().item() == pytest.approx(0.432593995, abs=1e-9)
    assert alignment_trust(torch.zeros(())).item() == pytest.approx(0.393469340, abs=1e-7)


def test_doubt_of_the_night() -> None:
    assert night_doubt(NIGHT).flatten().tolist() == pytest.approx([0.811503357, 0.804809973])
    one_hot = torch.zeros(1, 19, 2, 2)
    one_hot[:, 4] = 1
    assert night_doubt(one_hot).item() == 0.0
    assert night_doubt(torch.full((1, 19, 2, 2), 1 / 19)).item() == pytest.approx(1.0, abs=1e-6)


@pytest.mark.parametrize(
    ('settings', 'total', 'largest', 'labels'),
    [
        (dict(trust=TRUST, valid=VALID), 72.252476274, 0.494419325, 664),
        ({}, 72.463679315, 0.419885172, 683),
    ],
)
def test_refign(settings: dict, total: float, largest: float, labels: int) -> None:
    fused = refined_fusion(NIGHT, DAY, LARGE, **settings, normalize=False)
    assert fused.sum().item() == pytest.approx(total, abs=1e-8)
    assert fused.max(1).values.mean().item() == pytest.approx(largest, abs=1e-8)
    assert fused.argmax(1).sum().item() == labels
    if settings:
        assert (fused.argmax(1) != NIGHT.argmax(1)).sum() == 20
    whole = refined_fusion(NIGHT, DAY, LARGE, **settings)
    torch.testing.assert_close(whole.sum(1), torch.ones_like(whole[:, 0]))
    assert torch.equal(whole.argmax(1), fused.argmax(1))


def test_refign_without_large_classes_sums_to_one() -> None:
    fused = refined_fusion(NIGHT, DAY, LARGE & False, TRUST, VALID, normalize=False)
    assert fused.sum().item() == pytest.approx(72.0, abs=1e-9)
    assert fused.max(1).values.mean().item() == pytest.approx(0.479368497, abs=1e-8)


def test_mgcda() -> None:
    weight = confident_weight(NIGHT, DAY, DYNAMIC)
    c_night, c_day = NIGHT.max(1).values, DAY.max(1).values
    low = torch.isclose(weight, c_night / (c_night + 0.3 * c_day), rtol=1e-12)
    high = torch.isclose(weight, c_night / (c_night + 0.6 * c_day), rtol=1e-12)
    assert (low.sum().item(), high.sum().item()) == (46, 26)
    assert weight.mean().item() == pytest.approx(0.706814237, abs=1e-9)
    fused = confident_fusion(NIGHT, DAY, DYNAMIC)
    torch.testing.assert_close(fused.sum(1), torch.ones_like(weight))
    assert fused.max(1).values.mean().item() == pytest.approx(0.472573406, abs=1e-9)
    assert fused.argmax(1).sum().item() == 649


def test_traffic_that_the_other_side_does_not_see_is_that_sides_own_affair() -> None:
    """A car by night alone: the night decides. A car by day alone: the night decides as well."""
    road, car = torch.zeros(2, 1, 19, 1, 1)
    road[:, 0], car[:, 13] = 1, 1
    assert confident_fusion(car, road, DYNAMIC)[0, 13].item() == pytest.approx(1 / 1.3)
    assert confident_fusion(road, car, DYNAMIC)[0, 0].item() == pytest.approx(1 / 1.3)
    assert confident_fusion(road, road, DYNAMIC)[0, 0].item() == pytest.approx(1.0)


def test_no_value_is_read() -> None:
    night, day, dynamic = (
        torch.empty(2, 19, 6, 6, device='meta'), torch.empty(2, 19, 6, 6, device='meta'),
        DYNAMIC.to('meta'),
    )  # fmt: skip
    assert confident_fusion(night, day, dynamic).shape == (2, 19, 6, 6)
    assert refined_fusion(night, day, dynamic).shape == (2, 19, 6, 6)
