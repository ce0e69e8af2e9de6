"""Tensors that a model holds under several names, held once in its checkpoint, too."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor


def tie_tensors(saved: dict[str, Any], live: Mapping[str, Tensor]) -> None:
    """Let names that share one tensor in the model's state dict share one in what is saved, in place.

    A copy from a GPU is made for each name; ``torch.save`` writes a tensor once only if the names share it.
    """
    first: dict[tuple[Any, ...], str] = {}
    for name, value in live.items():
        if not value.numel() or name not in saved:
            continue
        place = (value.device, value.data_ptr(), value.dtype, value.shape, value.stride())
        saved[name] = saved[first.setdefault(place, name)]
