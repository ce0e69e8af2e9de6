"""Tensors that must stay finite: the first that is not, and the running statistics of a model."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import torch
from mmengine.model import is_model_wrapper
from torch import Tensor

#: Attribute in which a module names its buffers that were parameters before it was frozen.
FROZEN_NAMES = '_frozen_parameter_names'


def first_bad(tensors: Iterable[tuple[str, Tensor]]) -> str | None:
    """Name of the first floating-point tensor with an element that is not finite; None if there is none.

    One transfer from the device, whatever the number and shapes of the tensors.
    """
    named = [(name, value) for name, value in tensors if value.is_floating_point()]
    if not named:
        return None
    finite = torch.stack([torch.isfinite(value).all() for _, value in named]).tolist()
    return next((name for (name, _), good in zip(named, finite, strict=True) if not good), None)


def batch_statistics(model: torch.nn.Module) -> Iterator[tuple[str, Tensor]]:
    """Yield names and floating-point buffers that a checkpoint holds: running means and variances.

    The weights of frozen networks, which are buffers as well, are left out: no step changes them.
    """
    inner: Any = model.module if is_model_wrapper(model) else model
    saved = inner.state_dict(keep_vars=True)
    weights = {
        f'{place}.{name}'.removeprefix('.')
        for place, module in inner.named_modules()
        for name in getattr(module, FROZEN_NAMES, ())
    }
    for name, buffer in inner.named_buffers():
        if name in saved and name not in weights and buffer.is_floating_point():
            yield name, buffer
