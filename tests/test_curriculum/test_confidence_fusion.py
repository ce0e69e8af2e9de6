"""Fusion by confidence: numbers of the public code, the torch form of self-training, and bounds."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from curriculum_numbers import SMALL, SMALL_DARK, SMALL_LAB, normal, softmax

from mmseg_ccdistill.curriculum.confidence_fusion import DYNAMIC_CLASSES, fuse
from mmseg_ccdistill.curriculum.grid_filter import grid_filter
from mmseg_ccdistill.curriculum.window_filter import window_filter
from mmseg_ccdistill.models.self_training.day_night_fusion import confident_fusion

P, Q = softmax(2 * normal(21, 6, 8, 19)), softmax(2 * normal(22, 6, 8, 19))


def test_numbers_of_the_public_code() -> None:
    fused, doubted = fuse(P, Q)
    np.testing.assert_allclose(
        fused[0, 0, :4], [0.01192329, 0.00865203, 0.10991265, 0.00261276], atol=5e-9
    )
    assert fused[5, 7, 18] == pytest.approx(0.0856945731176, abs=1e-12)
    assert (fused**2).sum() == pytest.approx(11.9161806005, abs=1e-9)
    assert fused.argmax(-1).sum() == 367
    assert doubted.sum() == 28
    assert (fused.argmax(-1) != P.argmax(-1)).sum() == 12


def test_one_weight_everywhere() -> None:
    fused, doubted = fuse(P, Q, dynamic=())
    assert not doubted.any()
    assert (fused**2).sum() == pytest.approx(11.1544135968, abs=1e-9)
    assert fused.argmax(-1).sum() == 377


def test_it_is_the_fusion_of_self_training() -> None:
    """The same formula exists there on tensors, for the GPU."""
    dynamic = torch.isin(torch.arange(19), torch.tensor(DYNAMIC_CLASSES))
    night, day = (torch.from_numpy(x).permute(2, 0, 1)[None] for x in (P, Q))
    expected = confident_fusion(night, day, dynamic)[0].permute(1, 2, 0).numpy()
    np.testing.assert_allclose(fuse(P, Q).probabilities, expected, atol=1e-14)


def test_it_is_a_probability_that_is_never_surer_than_both() -> None:
    fused = fuse(P, Q).probabilities
    np.testing.assert_allclose(fused.sum(-1), 1, atol=1e-14)
    assert (fused.max(-1) <= np.maximum(P.max(-1), Q.max(-1)) + 1e-15).all()


@pytest.mark.parametrize(('dynamic', 'weight'), [((), 0.625), ((0, 1), 1 / 1.3)])
def test_equal_confidence(dynamic: tuple[int, ...], weight: float) -> None:
    one, other = np.array([[[0.9, 0.1]]]), np.array([[[0.1, 0.9]]])
    fused = fuse(one, other, dynamic).probabilities
    assert fused[0, 0, 0] == pytest.approx(weight * 0.9 + (1 - weight) * 0.1)


def test_at_most_a_fifth_is_doubted() -> None:
    """``<=``, not ``<``."""
    day = np.array([[[0.8, 0.2]]])
    assert fuse(np.array([[[0.3, 0.7]]]), day, (1,)).doubted.all()
    assert not fuse(np.array([[[0.3, 0.7]]]), np.array([[[0.79, 0.21]]]), (1,)).doubted.any()


def test_with_the_filtered_day() -> None:
    window = window_filter(SMALL, SMALL_LAB, 8, 0.1, 8, 2)
    fused = fuse(SMALL_DARK, window).probabilities
    assert (fused**2).sum() == pytest.approx(1391.3796, abs=1e-4)
    assert fused.argmax(-1).sum() == 47881
    assert (fused.argmax(-1) != SMALL_DARK.argmax(-1)).sum() == 57
    np.testing.assert_allclose(fused[30, 45, :3], [0.00463193, 0.00442553, 0.00894928], atol=5e-9)
    grid = grid_filter(SMALL, SMALL_LAB, 80, 20, 0.1, 0.1)
    fused = fuse(SMALL_DARK, grid).probabilities
    assert (fused**2).sum() == pytest.approx(1485.41149599, abs=1e-8)
    assert fused.argmax(-1).sum() == 47773
