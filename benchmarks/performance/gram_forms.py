"""Gram cosine from C x C matrices against N x N matrices; a test of the losses shows that both are equal."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch

from benchmarks.performance.ratio import compare
from benchmarks.performance.sizes import Sizes
from mmseg_ccdistill.models.losses import gram_cosine


def forward_backward(form: str, sizes: Sizes) -> Callable[[], None]:
    """One Gram cosine of random features after a ReLU, with the gradient of both.

    Args:
        form: ``'channel'`` (C x C) or ``'position'`` (N x N).
        sizes: Of the run.
    """
    generator = torch.Generator().manual_seed(0)
    shape = (2, 2, sizes.channels, sizes.grid, sizes.grid)
    day, night = torch.randn(shape, generator=generator).relu()
    day.requires_grad_()
    night.requires_grad_()

    def run() -> None:
        day.grad = night.grad = None
        gram_cosine(day, night, form).sum().backward()

    return run


def gram_row(sizes: Sizes) -> dict[str, Any]:
    """Forward and backward of both forms on F_D of two samples."""
    make = partial(forward_backward, sizes=sizes)
    return compare(
        {'channel': make('channel'), 'position': make('position')}, sizes, base='position'
    )
