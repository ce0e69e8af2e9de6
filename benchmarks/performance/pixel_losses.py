"""Pseudo labels and static loss against weighted cross-entropy on logits of one size."""

from __future__ import annotations

from typing import Any

import torch

from benchmarks.performance.ratio import compare
from benchmarks.performance.sizes import Sizes
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


def _compare(layout: torch.memory_format, sizes: Sizes) -> dict[str, float]:
    generator = torch.Generator().manual_seed(0)
    shape = (2, 19, sizes.logits, sizes.logits)
    day, night = (
        torch.randn(shape, generator=generator).to(memory_format=layout) for _ in range(2)
    )
    night.requires_grad_()
    labels = torch.randint(0, 19, (2, *shape[2:]), generator=generator)
    weighted, static = WeightedCrossEntropyLoss('balanced'), StaticLoss()

    def cross_entropy() -> None:
        night.grad = None
        weighted(night, labels).backward()

    def static_loss() -> None:
        night.grad = None
        static(night, static.pseudo_labels(day)).backward()

    both = {'static': static_loss, 'cross-entropy': cross_entropy}
    return compare(both, sizes, base='cross-entropy')['static']
