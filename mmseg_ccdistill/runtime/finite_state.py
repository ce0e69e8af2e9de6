"""Tensors that must stay finite: the first that is not, and the running statistics of a model."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import torch
from mmengine.model import is_model_wrapper
from torch import Tensor


def first_bad(tensors: Iterable[tuple[str, Tensor]]) -> str | None:
    """Find the first tensor with an element that is not finite, in one transfer from the device.

    Args:
        tensors: Names and tensors of any shape; those that hold integers are passed over.

    Returns:
        Its name; None if there is none.
    """
    named = [(name, value) for name, value in tensors if value.is_floating_point()]
    if not named:
        return None
    finite = torch.stack([torch.isfinite(value).all() for _, value in named]).tolist()
    return next((name for (name, _), good in zip(named, finite, strict=True) if not good), None)


def batch_statistics(model: torch.nn.Module) -> Iterator[tuple[str, Tensor]]:
    """Floating-point buffers that a checkpoint holds: running means and variances.

    Args:
        model: Model, or its wrapper for several processes.

    Yields:
        Names and the buffers themselves.
    """
    inner: Any = model.module if is_model_wrapper(model) else model
    saved = inner.state_dict(keep_vars=True)
    for name, buffer in inner.named_buffers():
        if name in saved and buffer.is_floating_point():
            yield name, buffer
