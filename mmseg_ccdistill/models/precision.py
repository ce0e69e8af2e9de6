"""Full precision inside a mixed-precision step."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor


def full_precision(tensor: Tensor) -> Tensor:
    """The tensor in float32, or as it is if it is float64 already.

    Args:
        tensor (Tensor): Floating-point tensor of any shape.

    Returns:
        Tensor: float32 or float64, on the same graph; the same object if nothing had to change.
    """
    return tensor.to(torch.promote_types(tensor.dtype, torch.float32))


def autocast_off(tensor: Tensor) -> AbstractContextManager:
    """A context without autocast on the tensor's device.

    It does nothing on the meta device, which has no autocast.

    Args:
        tensor (Tensor): Any tensor of the device in question.

    Returns:
        ContextManager: To be used as ``with autocast_off(x):``.
    """
    if tensor.device.type == 'meta':
        return nullcontext()
    return torch.autocast(device_type=tensor.device.type, enabled=False)
