"""A network that a method reads and never trains."""

from __future__ import annotations

from torch import nn

#: Attribute of a module that tells its frozen parameters from its other buffers.
_FROZEN_NAMES = '_frozen_parameter_names'


def freeze(network: nn.Module) -> None:
    """Turn the parameters of a network into buffers of the same names.

    A buffer has no gradient and is in the state dict, so a checkpoint holds it, but it is no parameter: no optimizer,
    whoever builds it, and no reduction of gradients between processes ever sees it.

    Args:
        network: Changed in place.
    """
    for module in network.modules():
        names = [name for name, value in module._parameters.items() if value is not None]
        for name in names:
            module.register_buffer(name, module._parameters.pop(name).detach())
        if names:
            setattr(module, _FROZEN_NAMES, (*getattr(module, _FROZEN_NAMES, ()), *names))


def count_parameters(network: nn.Module) -> int:
    """Number of parameters, those that were frozen into buffers included.

    Args:
        network: A network, or a part of one.
    """
    frozen = sum(
        module.get_buffer(name).numel()
        for module in network.modules()
        for name in getattr(module, _FROZEN_NAMES, ())
    )
    return frozen + sum(parameter.numel() for parameter in network.parameters())
