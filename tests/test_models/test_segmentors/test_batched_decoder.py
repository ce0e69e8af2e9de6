"""S_n and T_n through M_n's decoder together: the values and gradients of two passes, and half of the kernels."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
import torch
from small_ccdistill import small_segmentor
from torch.utils._python_dispatch import TorchDispatchMode

from mmseg_ccdistill.errors import UserInputError
from mmseg_ccdistill.models.segmentors.adaptation_segmentor import DomainMaps
from mmseg_ccdistill.models.segmentors.batched_decoder import decode_together


class Operators(TorchDispatchMode):
    """Counts operators by name."""

    def __init__(self) -> None:
        super().__init__()
        self.counts: Counter[str] = Counter()

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple = (), kwargs: dict | None = None
    ) -> Any:
        self.counts[func.overloadpacket.__name__] += 1
        return func(*args, **(kwargs or {}))


def step(build: Callable, batch: dict[str, Any], batched: bool, dropout: float = 0.0) -> Any:
    """Losses, gradients and operators of a step."""
    segmentor = small_segmentor(dropout_ratio=dropout)
    model = build(segmentor=segmentor, batch_night_decoder=batched).train()
    data = model.data_preprocessor(batch, True)
    torch.manual_seed(0)
    with Operators() as seen:
        total, log = model.parse_losses(model(**data, mode='loss'))
        total.backward()
    return log, {name: p.grad for name, p in model.named_parameters()}, seen.counts


def test_values_and_gradients_are_those_of_two_passes(
    build: Callable, batch: dict[str, Any]
) -> None:
    (log, gradients, counts), (same, others, fewer) = (
        step(build, batch, batched) for batched in (False, True)
    )
    assert log.keys() == same.keys()
    for name, value in log.items():
        torch.testing.assert_close(same[name], value, rtol=1e-5, atol=1e-7)
    for name, gradient in gradients.items():
        assert (others[name] - gradient).norm() <= 1e-4 * gradient.norm() + 1e-9, name
    # each convolution of the decoder runs once less, forward and backward
    layers = sum(
        name.startswith('night.decode_head') and g.dim() == 4 for name, g in gradients.items()
    )
    assert counts['convolution'] - fewer['convolution'] == layers > 20
    assert counts['convolution_backward'] - fewer['convolution_backward'] == layers
    assert fewer.total() < counts.total() - 6 * layers


def test_dropout_draws_other_numbers(build: Callable, batch: dict[str, Any]) -> None:
    plain, batched = (step(build, batch, b, dropout=0.5)[0] for b in (False, True))
    assert plain['source_night.loss_seg'] != batched['source_night.loss_seg']
    assert plain['cross.loss_cds'] == batched['cross.loss_cds']  # of the backbones, which have none


def test_once_pseudo_labels_are_off_nothing_is_batched(
    build: Callable, batch: dict[str, Any]
) -> None:
    model = build(batch_night_decoder=True)
    model.loss_pseudo = None  # as once self-training has taken over
    maps = model.domain_maps(model.data_preprocessor(batch, True)['inputs'])
    assert all(m.logits is None for m in maps.values())


def test_what_cannot_be_batched_is_refused(build: Callable) -> None:
    with pytest.raises(UserInputError, match='with loss_pseudo=None T_n is not decoded: leave it'):
        build(batch_night_decoder=True, loss_pseudo=None)
    with pytest.raises(UserInputError, match='keeps two decoders at once, early_decoder_backward'):
        build(batch_night_decoder=True, early_decoder_backward=True)
    head = dict(type='ProjectionHead', in_channels=8)
    with pytest.raises(UserInputError, match="batch_night_decoder=True needs feature='backbone"):
        build(batch_night_decoder=True, feature='decode_head', projection_head=head)
    segmentor = small_segmentor()
    segmentor['decode_head'] = dict(
        type='FCNHead', in_channels=64, in_index=3, channels=8, num_classes=19, norm_cfg=dict(type='BN'),
        loss_decode=dict(type='WeightedCrossEntropyLoss'),
    )  # fmt: skip
    with pytest.raises(UserInputError, match='without batch normalisation, and FCNHead has it'):
        build(batch_night_decoder=True, segmentor=segmentor)


def test_crops_of_two_sizes_are_refused(build: Callable) -> None:
    maps = {
        domain: DomainMaps((), (torch.zeros(2, 8, side, side),))
        for domain, side in (('source_night', 8), ('target_night', 6))
    }
    with pytest.raises(
        UserInputError, match='crops of one size, and source_night and target_night'
    ):
        decode_together(build().night.decode_head, maps)
