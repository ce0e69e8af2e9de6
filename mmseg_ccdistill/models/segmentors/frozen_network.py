"""A network that a method reads and never trains."""

from __future__ import annotations

from torch import nn

from ...runtime.finite_state import FROZEN_NAMES


def freeze(network: nn.Module) -> None:
    """Turn the parameters of a network into buffers of the same names.

    A buffer has no gradient and is in the state dict, so a checkpoint holds it, but it is no parameter: no optimizer,
    whoever builds it, and no reduction of gradients between processes ever sees it.

    Args:
        network: Changed in place.
    """
    for module in network.modules():
        own = dict(module.named_parameters(recurse=False, remove_duplicate=False))
        for name, parameter in own.items():
            del module._parameters[name]
            module.register_buffer(name, parameter.detach())
        if own:
            setattr(module, FROZEN_NAMES, (*getattr(module, FROZEN_NAMES, ()), *own))


def count_parameters(network: nn.Module) -> int:
    """Number of parameters, those that were frozen into buffers included.

    Args:
        network: A network, or a part of one.
    """
    frozen = sum(
        module.get_buffer(name).numel()
        for module in network.modules()
        for name in getattr(module, FROZEN_NAMES, ())
    )
    return frozen + sum(parameter.numel() for parameter in network.parameters())
