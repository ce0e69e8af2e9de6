from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import nn

from benchmarks.term_gradients import compare, median, term_gradients


class _TwoNetworks(nn.Module):
    """loss_seg = 3 d + n_0, loss_cdc = 4 n_0 + 3 n_1, at any weights."""

    def __init__(self) -> None:
        super().__init__()
        self.day = nn.Linear(1, 1, bias=False)
        self.night = nn.Linear(2, 1, bias=False)

    def data_preprocessor(self, batch: Any, training: bool) -> dict:
        return dict(inputs=batch)

    def forward(self, inputs: torch.Tensor, mode: str) -> dict[str, torch.Tensor]:
        night = self.night.weight[0]
        seg = 3 * self.day.weight.sum() + night[0]
        return {
            'source.loss_seg': seg,
            'cross.loss_cdc': 4 * night[0] + 3 * night[1],
            'cor.mean': seg,  # a diagnostic, not a loss
        }


def test_gradients_of_each_term_in_each_network() -> None:
    gradients = term_gradients(_TwoNetworks(), {})
    assert {name: set(terms) for name, terms in gradients.items()} == {
        'day': {'source.loss_seg'},
        'night': {'source.loss_seg', 'cross.loss_cdc'},
    }
    assert gradients['day']['source.loss_seg'].tolist() == [3.0]
    assert gradients['night']['cross.loss_cdc'].tolist() == [4.0, 3.0]


def test_norm_ratio_and_cosine_by_hand() -> None:
    """(4, 3) beside (1, 0): norm 5, five times as long, cosine 4 / 5."""
    night = term_gradients(_TwoNetworks(), {})['night']
    assert compare(night)['cross.loss_cdc'] == pytest.approx((5.0, 5.0, 0.8, 4.0))
    assert compare(night)['source.loss_seg'] == pytest.approx((1.0, 1.0, 1.0, 1.0))
    norm, *others = compare({'cross.loss_cdc': night['cross.loss_cdc']})['cross.loss_cdc']
    assert norm == 5.0 and all(math.isnan(value) for value in others)


def test_no_supervised_gradient_is_no_ratio() -> None:
    zero = {'target_night.loss_pseudo': torch.zeros(2), 'cross.loss_cdc': torch.tensor([3.0, 4.0])}
    norm, *others = compare(zero)['cross.loss_cdc']
    assert norm == 5.0 and all(math.isnan(value) for value in others)


def test_medians_leave_out_batches_without_a_number() -> None:
    nan = float('nan')
    found = median([(1.0, nan, nan), (3.0, 4.0, nan), (9.0, 6.0, nan)])
    assert found[:2] == [3.0, 5.0] and math.isnan(found[2])
