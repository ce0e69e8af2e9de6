"""Passes of SelfTraining that go backward at once: what is kept, bits, precisions."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
from domain_batch import domain_batch
from mmengine.optim import OptimWrapper
from self_training_model import ALONE, PASSES, SELF, losses_of, with_draws, with_graph
from torch import Tensor, nn

from benchmarks.step_cost import saved_for_backward
from mmseg_ccdistill.models.self_training import self_training as self_training_file


def kept_at_once(model: nn.Module, batch: dict[str, Any]) -> int:
    with saved_for_backward(model) as kept:
        losses_of(model, copy.deepcopy(batch))
    return kept.most


@pytest.mark.parametrize('more', [ALONE, {}], ids=['alone', 'matched'])
def test_the_maps_of_one_pass_are_kept_at_a_time(
    build: Callable, drawn: dict[str, Any], more: dict[str, Any]
) -> None:
    none, one, four = (
        kept_at_once(build(**more, self_training=own).train(), drawn)
        for own in (None, SELF, PASSES)
    )
    assert none < one
    assert four - none < 1.05 * (one - none)


def after_two_steps(
    build: Callable, accumulated: int = 1, frozen: str = 'none', **settings: Any
) -> dict[str, Tensor]:
    """All that was logged and the state, after two steps of SGD in training mode."""
    model = build(**{'self_training': PASSES, **settings}).train()
    for name, weight in model.named_parameters():
        weight.requires_grad_(frozen not in name)
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-2, momentum=0.9)
    wrapper = OptimWrapper(optimizer, accumulative_counts=accumulated)
    found: dict[str, Tensor] = {}
    for iteration in range(2 * accumulated):
        model.set_iteration(iteration, 2 * accumulated)
        batch = with_draws(domain_batch(seed=iteration), iteration)
        total, log = model.parse_losses(losses_of(model, batch))
        wrapper.update_params(total)
        found |= {f'{iteration}: {name}': value for name, value in log.items()}
    return found | model.state_dict()  # weights, statistics, teachers, thresholds


@pytest.mark.parametrize(
    'settings',
    [
        {},
        dict(early_decoder_backward=True),
        dict(recompute=('ChainedResidualPooling', 'BasicBlock')),
        dict(accumulated=2),
        dict(frozen='backbone.layer1'),
        dict(self_training=dict(PASSES, ramp=3)),
    ],
    ids=['plain', 'early decoders', 'recomputed', 'accumulated', 'frozen', 'ramp'],
)
def test_passes_that_go_backward_early_are_bit_equal(
    build: Callable, monkeypatch: pytest.MonkeyPatch, settings: dict[str, Any]
) -> None:
    early = after_two_steps(build, **settings)
    monkeypatch.setattr(self_training_file, 'early_backward', with_graph)
    plain = after_two_steps(build, **settings)
    assert early.keys() == plain.keys() and '1: day.loss_masked' in early
    for name, value in plain.items():
        assert torch.equal(value, early[name]), name


def test_in_bfloat16_gradients_of_the_passes_sum_in_float32(
    build: Callable, drawn: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Autocast shares its copy of a weight: plainly, the gradients of all passes are added in bfloat16."""
    found = []
    for losses_at in (self_training_file.early_backward, with_graph):
        monkeypatch.setattr(self_training_file, 'early_backward', losses_at)
        model = build(self_training=PASSES).train()
        with torch.autocast('cpu', torch.bfloat16):
            total, log = model.parse_losses(losses_of(model, copy.deepcopy(drawn)))
        total.backward()
        found.append((list(log.values()), {name: p.grad for name, p in model.named_parameters()}))
    (values, early), (again, plain) = found
    assert all(map(torch.equal, values, again))
    for name, gradient in plain.items():
        assert (gradient - early[name]).norm() <= 2**-6 * gradient.norm(), (
            name
        )  # bfloat16 has 8 bits


def test_in_float16_a_pass_keeps_its_graph(
    build: Callable, drawn: dict[str, Any], half_dtype: torch.dtype
) -> None:
    """A loss scaler comes before the backward pass: what went backward earlier has lost its small gradients."""
    data = build(**ALONE).data_preprocessor(drawn, True)
    kept = []
    for own in (SELF, PASSES):
        model = build(**ALONE, self_training=own).train()
        with torch.autocast('cpu', half_dtype), saved_for_backward(model) as saved:
            losses = model(**data, mode='loss')
        kept.append(saved.now)
        (2.0**20 * losses['night.loss_mix']).backward()
        assert model.night.backbone.conv1.weight.grad.any()
    assert (kept[1] > 1.5 * kept[0]) == (half_dtype is torch.float16)
