from __future__ import annotations

import pytest
import torch
from fill_by_key import fill
from golden_maps import normal

from mmseg_ccdistill.models.discriminators import DayNightDiscriminator


def test_size() -> None:
    net = DayNightDiscriminator()
    assert sum(p.numel() for p in net.parameters()) == 1_728_193
    for side, expected in ((512, 125), (960, 237), (64, 13)):
        with torch.device('meta'):
            assert (
                DayNightDiscriminator()(torch.empty(1, 19, side, side)).shape[2:] == (expected,) * 2
            )


def test_golden_scores() -> None:
    with torch.no_grad():
        scores = fill(DayNightDiscriminator())(normal(1002, 2, 19, 64, 96).softmax(1))
    assert scores.shape == (2, 1, 13, 21)
    assert scores[0, 0, 0, 0].item() == pytest.approx(0.234052554839)
    assert scores[1, 0, 12, 20].item() == pytest.approx(0.231058986290)
    assert scores.sum().item() == pytest.approx(119.757517579)
    assert scores.square().mean().item() == pytest.approx(0.0486259061745)
    assert (scores - 1).square().mean().item() == pytest.approx(0.609953680610)
