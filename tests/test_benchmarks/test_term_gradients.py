from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from domain_batch import domain_batch
from mmengine.registry import init_default_scope
from mmengine.structures import PixelData
from mmseg.registry import MODELS
from small_ccdistill import SIDE, small_model
from torch import nn
from torch.nn import functional as F

from benchmarks.term_gradients import (
    TRUTH,
    compare,
    main,
    median,
    night_label_loss,
    term_gradients,
)
from mmseg_ccdistill.errors import UserInputError

ROOT = Path(__file__).resolve().parents[2]


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


def test_the_true_labels_of_the_night_are_the_measure_where_they_are_there() -> None:
    """(4, 3) beside (0, 2): 2.5 times as long, cosine 0.6, so 1.5 of it; L_seg, (1, 0), goes along nothing."""
    night = term_gradients(_TwoNetworks(), {})['night'] | {TRUTH: torch.tensor([0.0, 2.0])}
    found = compare(night)
    assert found['cross.loss_cdc'] == pytest.approx((5.0, 2.5, 0.6, 1.5))
    assert found['source.loss_seg'] == pytest.approx((1.0, 0.5, 0.0, 0.0))


def test_the_loss_of_true_labels_is_the_cross_entropy_of_m_n_alone() -> None:
    """By hand over the labelled pixels of T_n; no other network gets a gradient of it."""
    init_default_scope('mmseg')
    torch.manual_seed(0)
    model = MODELS.build(small_model())
    batch = domain_batch(seed=0)
    generator = torch.Generator().manual_seed(1)
    for sample in batch['data_samples']['target_night']:
        label = torch.randint(0, 20, (1, SIDE, SIDE), generator=generator)
        sample.gt_sem_seg = PixelData(data=label.masked_fill(label == 19, 255))
    model.eval()
    gradients = term_gradients(model, batch, has_night_labels=True)
    assert [name for name, terms in gradients.items() if TRUTH in terms] == ['night']
    data = model.data_preprocessor(batch, training=True)
    logits = model.night.decode_head(model.night.extract_feat(data['inputs']['target_night']))
    logits = F.interpolate(
        logits, (SIDE, SIDE), mode='bilinear', align_corners=model.night.align_corners
    )
    labels = torch.cat([s.gt_sem_seg.data for s in data['data_samples']['target_night']])
    p = logits.log_softmax(1).permute(0, 2, 3, 1)
    kept = labels != 255
    expected = -p[kept].gather(1, labels[kept][:, None]).mean()
    assert night_label_loss(model, data).item() == pytest.approx(expected.item(), rel=1e-5)


@pytest.mark.parametrize(
    'name', ['refinenet/refinenet_small_mini', 'dmada/refinenet_small_mini_day2night']
)
def test_night_labels_need_pairs(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    arguments = ['term_gradients', str(ROOT / f'configs/{name}.py'), 'none.pth', '--night-labels']
    monkeypatch.setattr('sys.argv', arguments)
    with pytest.raises(
        UserInputError, match='trains no M_n on pairs: expected a config of CCDistill'
    ):
        main()


def test_medians_leave_out_batches_without_a_number() -> None:
    nan = float('nan')
    found = median([(1.0, nan, nan), (3.0, 4.0, nan), (9.0, 6.0, nan)])
    assert found[:2] == [3.0, 5.0] and math.isnan(found[2])
