"""Pseudo labels and static loss against weighted cross-entropy on logits of one size."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch

from benchmarks.performance.ratio import compare
from benchmarks.performance.sizes import Sizes
from benchmarks.timing import time_interleaved
from mmseg_ccdistill.models.losses import StaticLoss, WeightedCrossEntropyLoss


def static_row(sizes: Sizes) -> dict[str, Any]:
    """Forward and backward in both layouts."""
    return {
        name: _compare(layout, sizes)
        for name, layout in (
            ('nchw', torch.contiguous_format),
            ('channels_last', torch.channels_last),
        )
    }


def profile_static(sizes: Sizes) -> dict[str, dict[str, Any]]:
    """Processor time of the parts of both losses, planes of classes one after the other."""
    calls = _calls(torch.contiguous_format, sizes)
    times = time_interleaved(calls, sizes.rounds)
    ms = {name: 1e3 * times.median(name) for name in calls}
    static = {
        'pseudo labels': ms['pseudo labels'],
        'static loss, forward': ms['static forward'],
        'static loss, backward': ms['static'] - ms['pseudo labels'] - ms['static forward'],
    }
    cross_entropy = {
        'cross-entropy, forward': ms['cross-entropy forward'],
        'cross-entropy, backward': ms['cross-entropy'] - ms['cross-entropy forward'],
    }
    return {
        title: dict(unit='ms', parts={name: max(0.0, value) for name, value in parts.items()})
        for title, parts in (
            ('pseudo labels and static loss', static),
            ('cross-entropy', cross_entropy),
        )
    }


def _compare(layout: torch.memory_format, sizes: Sizes) -> dict[str, float]:
    calls = _calls(layout, sizes)
    both = {name: calls[name] for name in ('static', 'cross-entropy')}
    return compare(both, sizes, base='cross-entropy')['static']


def _calls(layout: torch.memory_format, sizes: Sizes) -> dict[str, Callable[[], Any]]:
    """Both losses, forward and backward, and parts of them."""
    generator = torch.Generator().manual_seed(0)
    shape = (2, 19, sizes.logits, sizes.logits)
    day, night = (
        torch.randn(shape, generator=generator).to(memory_format=layout) for _ in range(2)
    )
    night.requires_grad_()
    labels = torch.randint(0, 19, (2, *shape[2:]), generator=generator)
    weighted, static = WeightedCrossEntropyLoss('balanced'), StaticLoss()
    pseudo = static.pseudo_labels(day)

    def cross_entropy() -> None:
        night.grad = None
        weighted(night, labels).backward()

    def static_loss() -> None:
        night.grad = None
        static(night, static.pseudo_labels(day)).backward()

    return {
        'static': static_loss,
        'cross-entropy': cross_entropy,
        'pseudo labels': partial(static.pseudo_labels, day),
        'static forward': partial(static, night, pseudo),
        'cross-entropy forward': partial(weighted, night, labels),
    }
