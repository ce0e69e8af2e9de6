"""``channels_last = True``: weights, images and so all maps lie with the channels of a pixel side by side.

Convolutions of tensor cores and of a CPU read that layout; torch converts the other one before and after them. Values
are the same, sums are rounded in another order.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer


def use_channels_last(model: nn.Module) -> None:
    """Lay out a model's weights and the images that it is given; maps follow them.

    Args:
        model: Changed in place, before it is wrapped for distributed training. The images are those that its
            ``data_preprocessor``, if it has one, returns as ``inputs``.
    """
    lay_out_weights(model, torch.channels_last)
    preprocessor = getattr(model, 'data_preprocessor', None)
    if preprocessor is not None:
        preprocessor.register_forward_hook(_with_images_channels_last)


def lay_out_weights(model: nn.Module, layout: torch.memory_format) -> None:
    """Lay out weights and buffers of four dimensions; values stay.

    Args:
        model: Changed in place.
        layout: ``torch.channels_last`` or ``torch.contiguous_format``.
    """
    model.to(memory_format=layout)  # type: ignore[call-overload]


def _with_images_channels_last(module: nn.Module, args: Any, batch: Any) -> Any:
    return {**batch, 'inputs': _channels_last(batch['inputs'])}


def _channels_last(images: Any) -> Any:
    """Images ``(B, 3, H, W)``, or such by domain or in a list; anything else as it is."""
    if isinstance(images, Mapping):
        return {name: _channels_last(value) for name, value in images.items()}
    if isinstance(images, list | tuple):
        return [_channels_last(value) for value in images]
    if isinstance(images, Tensor) and images.dim() == 4:
        return images.contiguous(memory_format=torch.channels_last)
    return images


def lay_out_like_weights(optimizer: Optimizer) -> None:
    """Give the state of an optimizer the layout of its weights, which fused kernels ask for.

    A checkpoint keeps the layout of the run that wrote it, and ``load_state_dict`` of an optimizer takes it over.

    Args:
        optimizer: Its state is changed in place; values stay.
    """
    for weight, state in optimizer.state.items():
        for name, value in state.items():
            if isinstance(value, Tensor) and value.shape == weight.shape:
                if value.stride() != weight.stride():
                    state[name] = torch.empty_like(weight, dtype=value.dtype).copy_(value)
