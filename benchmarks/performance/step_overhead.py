"""What a step of CCDistill costs beside the bare work: that of two supervised branches, and a loop by hand."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.gpu.training import build_model
from benchmarks.performance.ratio import compare
from benchmarks.performance.sizes import Sizes
from benchmarks.performance.small_run import settings_of, small_config, small_training
from mmseg_ccdistill.models.segmentors import AdaptationSegmentor


def step_row(sizes: Sizes) -> dict[str, Any]:
    """A step of CCDistill over one of M_d on S_d and M_n on S_n alone, divided by the ratio of their FLOP."""
    steps, flop_ratio = both_steps(sizes)
    found = compare(steps, sizes, base='bare', scale=1 / flop_ratio)
    found['step']['flop_ratio'] = flop_ratio
    return found


def both_steps(sizes: Sizes) -> tuple[dict[str, Callable[[], None]], float]:
    """``step`` of CCDistill and the ``bare`` one of two branches, and the ratio of their FLOP."""
    training = small_training(sizes)
    training.skip_to(101)  # without diagnostics
    training.tell_iteration(101)
    model = training.model
    batch = model.data_preprocessor(training.batches[0], True)
    bare_model = build_model(small_config(sizes), settings_of(sizes))
    bare_model.load_state_dict(model.state_dict())
    full = _stepping(model, lambda: _all_losses(model, batch))
    bare = _stepping(bare_model, lambda: _two_branches(bare_model, batch))
    return {'step': full, 'bare': bare}, _count(full) / _count(bare)


def runner_row(sizes: Sizes) -> dict[str, Any]:
    """A step with the runner's wrapper, log and guards over a loop by hand that computes the same losses."""
    training = small_training(sizes)
    by_hand = small_training(sizes)
    model = by_hand.model
    batches = by_hand.batches

    def losses() -> Tensor:
        batch = batches[by_hand.iteration % len(batches)]
        by_hand.tell_iteration(by_hand.iteration)
        by_hand.iteration += 1
        return _all_losses(model, model.data_preprocessor(batch, True))

    both = {'runner': training.step, 'by hand': _stepping(model, losses)}
    return compare(both, sizes, base='by hand')


def _stepping(model: nn.Module, loss: Callable[[], Tensor]) -> Callable[[], None]:
    """Forward, backward and a step of SGD as the schedule of the paper has it."""
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-5, momentum=0.9, weight_decay=5e-4)

    def step() -> None:
        loss().backward()
        optimizer.step()
        optimizer.zero_grad()

    return step


def _all_losses(model: AdaptationSegmentor, batch: dict[str, Any]) -> Tensor:
    return model.parse_losses(model(**batch, mode='loss'))[0]


def _two_branches(model: AdaptationSegmentor, batch: dict[str, Any]) -> Tensor:
    """L_seg of both branches on S_d and S_n, written out."""
    total = torch.zeros(())
    for domain in ('source_day', 'source_night'):
        branch = model.branch_of(domain)
        labels = torch.cat([s.gt_sem_seg.data for s in batch['data_samples'][domain]])
        head: Any = branch.decode_head
        logits = head(branch.backbone(batch['inputs'][domain]))
        logits = nn.functional.interpolate(
            logits, labels.shape[1:], mode='bilinear', align_corners=head.align_corners
        )
        total = total + head.loss_decode(logits, labels.long(), ignore_index=head.ignore_index)
    return total


def _count(step: Callable[[], None]) -> int:
    with FlopCounterMode(display=False) as counter:
        step()
    return copy.copy(counter.get_total_flops())
