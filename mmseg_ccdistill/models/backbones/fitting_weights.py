"""Pretrained weights that must fit a network tensor by tensor."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from ...errors import UserInputError


def load_fitting_weights(
    network: nn.Module, weights: Mapping[str, Any], source: str, advice: str
) -> None:
    """Fill a network, where mmengine would take what fits and go on.

    Args:
        network (nn.Module): The network; changed in place.
        weights (Mapping[str, Any]): Tensors by the names of its state dict.
        source (str): Where they come from, for the message.
        advice (str): How to get those that fit, for the message.

    Raises:
        UserInputError: If a tensor is missing, left over or of another shape; nothing is loaded then.
    """
    expected = network.state_dict()
    for name in (*expected, *weights):
        found, wanted = _shape(weights.get(name)), _shape(expected.get(name))
        if found != wanted:
            raise UserInputError(
                f'{source}: {name} has shape {found}, the network of model.backbone expects {wanted} (None: there is '
                f'no such tensor); {advice}'
            )
    network.load_state_dict(weights, strict=True)


def _shape(value: Any) -> tuple[int, ...] | None:
    """Shape of a tensor; None for what is none."""
    return tuple(value.shape) if isinstance(value, Tensor) else None
