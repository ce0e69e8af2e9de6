from __future__ import annotations

import pytest
import torch
from mmseg.registry import MODELS
from torch import Tensor
from torch.nn import functional as F

from mmseg_ccdistill.models.losses import (
    CITYSCAPES_FREQUENCIES,
    WeightedCrossEntropyLoss,
    class_balance_weights,
)

W = class_balance_weights(CITYSCAPES_FREQUENCIES)


def random_case(ignored: bool = True) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(2, 19, 5, 6, generator=generator, dtype=torch.float64)
    labels = torch.randint(0, 19, (2, 5, 6), generator=generator)
    if ignored:
        labels[0, :2] = 255
    return logits, labels


@pytest.mark.parametrize('class_weight', [None, 'balanced', list(range(1, 20))])
@pytest.mark.parametrize('ignored', [True, False])
def test_equal_logits_give_ln19(class_weight, ignored: bool) -> None:
    _, labels = random_case(ignored)
    loss = WeightedCrossEntropyLoss(class_weight)(torch.zeros(2, 19, 5, 6), labels)
    assert loss.item() == pytest.approx(2.944439, abs=1e-6)


@pytest.mark.parametrize('ignored', [True, False])
def test_is_a_weighted_average_over_valid_pixels(ignored: bool) -> None:
    logits, labels = random_case(ignored)
    total = weight = 0.0
    for z, y in zip(logits.permute(0, 2, 3, 1).reshape(-1, 19), labels.flatten(), strict=True):
        if y != 255:
            total += (W[y] * (z.logsumexp(0) - z[y])).item()
            weight += W[y].item()
    loss = WeightedCrossEntropyLoss('balanced', loss_weight=0.5)(logits, labels)
    assert loss.dtype == torch.float64
    assert loss.item() == pytest.approx(0.5 * total / weight)
    expected = F.cross_entropy(logits, labels, W.double(), ignore_index=255)
    assert loss.item() == pytest.approx(0.5 * expected.item())


@pytest.mark.parametrize('class_weight', [None, 'balanced'])
@pytest.mark.parametrize('pixel_weight', [False, True])
def test_nothing_valid_gives_zero_and_a_zero_gradient(class_weight, pixel_weight: bool) -> None:
    logits = torch.randn(2, 19, 5, 6, requires_grad=True)
    weight = torch.ones(2, 5, 6) if pixel_weight else None
    loss = WeightedCrossEntropyLoss(class_weight)(logits, torch.full((2, 5, 6), 255), weight)
    loss.backward()
    assert loss.item() == 0
    assert logits.grad is not None and torch.equal(logits.grad, torch.zeros_like(logits))


def test_a_broken_prediction_is_not_hidden() -> None:
    logits, labels = random_case()
    logits[0, 0, 4, 4] = float('nan')
    assert WeightedCrossEntropyLoss('balanced')(logits, labels).isnan()


def test_gradient() -> None:
    logits, labels = random_case()
    loss = WeightedCrossEntropyLoss('balanced')
    loss.class_weight = loss.class_weight.double()
    assert torch.autograd.gradcheck(lambda z: loss(z, labels), (logits.requires_grad_(),))
    weight = torch.rand(2, 5, 6, dtype=torch.float64)
    assert torch.autograd.gradcheck(lambda z: loss(z, labels, weight), (logits,))


def test_weights_per_pixel() -> None:
    logits, labels = random_case()
    loss = WeightedCrossEntropyLoss('balanced')
    half = torch.zeros(2, 5, 6)
    half[:, :, :3] = 3.0
    expected = F.cross_entropy(logits[..., :3], labels[..., :3], W.double(), ignore_index=255)
    assert loss(logits, labels, half).item() == pytest.approx(expected.item())
    ones = torch.ones(2, 5, 6)
    assert loss(logits, labels, ones).item() == pytest.approx(loss(logits, labels).item())


def test_reductions() -> None:
    logits, labels = random_case()
    loss = WeightedCrossEntropyLoss([2.0] * 19, loss_weight=0.5)
    per_pixel = F.cross_entropy(logits, labels, ignore_index=255, reduction='none')
    torch.testing.assert_close(loss(logits, labels, reduction_override='none'), per_pixel)
    total = per_pixel.sum().item()
    assert loss(logits, labels, reduction_override='sum').item() == pytest.approx(total)
    assert loss(logits, labels, avg_factor=7).item() == pytest.approx(total / 7)
    mean = loss(logits, labels, reduction_override='mean').item()
    assert mean == pytest.approx(0.5 * total / 48)
    with pytest.raises(ValueError, match='reduction_override'):
        loss(logits, labels, reduction_override='median')
    with pytest.raises(ValueError, match='avg_factor'):
        loss(logits, labels, avg_factor=7, reduction_override='sum')


def test_ignored_label_of_the_call_wins() -> None:
    logits, labels = random_case(ignored=False)
    loss = WeightedCrossEntropyLoss(ignore_index=3)
    expected = F.cross_entropy(logits, labels, ignore_index=3).item()
    assert loss(logits, labels).item() == pytest.approx(expected)
    expected = F.cross_entropy(logits, labels, ignore_index=5).item()
    assert loss(logits, labels, ignore_index=5).item() == pytest.approx(expected)


#: The ways in which the loss is averaged: each has its own look at the ignored label.
WAYS = [
    {},
    dict(weight=torch.ones(2, 5, 6)),
    dict(reduction_override='mean'),
    dict(weight=torch.rand(2, 5, 6, generator=torch.Generator().manual_seed(2))),
    dict(reduction_override='sum'),
    dict(reduction_override='none'),
    dict(avg_factor=7.0),
]


@pytest.mark.parametrize('given', ['constructor', 'call'])
@pytest.mark.parametrize('class_weight', [None, 'balanced'])
@pytest.mark.parametrize('way', WAYS, ids=[str(sorted(way)) for way in WAYS])
def test_any_value_may_be_the_ignored_one(way: dict, class_weight: str | None, given: str) -> None:
    """Labels that differ in that value alone, 3 here and 255 there, have one loss, everywhere."""
    logits, labels = random_case()
    labels[labels == 3] = 4
    in_constructor = dict(ignore_index=3) if given == 'constructor' else {}
    in_call = dict(ignore_index=3) if given == 'call' else {}
    expected = WeightedCrossEntropyLoss(class_weight)(logits, labels, **way)
    other = labels.masked_fill(labels == 255, 3)
    loss = WeightedCrossEntropyLoss(class_weight, **in_constructor)
    torch.testing.assert_close(loss(logits, other, **way, **in_call), expected)


@pytest.mark.parametrize('way', WAYS, ids=[str(sorted(way)) for way in WAYS])
def test_nothing_but_the_ignored_value_gives_zero(way: dict) -> None:
    logits = torch.randn(2, 19, 5, 6, requires_grad=True)
    labels = torch.full((2, 5, 6), 3)
    loss = WeightedCrossEntropyLoss('balanced', ignore_index=3)(logits, labels, **way)
    loss.sum().backward()
    assert not loss.any() and logits.grad is not None and not logits.grad.any()


def test_255_is_a_label_like_another_where_it_is_not_ignored() -> None:
    logits, labels = random_case()
    with pytest.raises(ValueError, match=r'holds the values 255: expected class ids 0..18 and 3 '):
        WeightedCrossEntropyLoss(ignore_index=3)(logits, labels)


def test_mixed_precision(half_dtype: torch.dtype) -> None:
    logits, labels = random_case()
    half = logits.to(half_dtype)
    with torch.autocast('cpu', dtype=half_dtype):
        loss = WeightedCrossEntropyLoss('balanced')(half, labels)
    assert loss.dtype == torch.float32
    expected = F.cross_entropy(half.double(), labels, W.double(), ignore_index=255)
    assert loss.item() == pytest.approx(expected.item(), rel=1e-5)


def test_is_registered_named_and_not_saved() -> None:
    loss = MODELS.build(dict(type='WeightedCrossEntropyLoss', class_weight='balanced'))
    assert loss.loss_name == 'loss_seg' and not loss.state_dict()
    assert torch.equal(loss.class_weight, W)
    assert WeightedCrossEntropyLoss(loss_name='loss_aux').loss_name == 'loss_aux'


def test_unknown_arguments_and_wrong_classes_are_refused() -> None:
    logits, labels = random_case()
    with pytest.raises(TypeError):
        WeightedCrossEntropyLoss()(logits, labels, class_weight=[1.0] * 19)
    with pytest.raises(ValueError, match='19 class weights for logits of 5 classes'):
        WeightedCrossEntropyLoss('balanced')(logits[:, :5], labels)
