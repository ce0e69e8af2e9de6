"""A network that a method reads and never trains."""

from __future__ import annotations

from torch import nn


def freeze(network: nn.Module) -> None:
    """Turn the parameters of a network into buffers of the same names.

    A buffer has no gradient and is in the state dict, so a checkpoint holds it, but it is no parameter: no optimizer,
    whoever builds it, and no reduction of gradients between processes ever sees it.

    Args:
        network: Changed in place.
    """
    for module in network.modules():
        for name, parameter in list(module._parameters.items()):
            if parameter is not None:
                del module._parameters[name]
                module.register_buffer(name, parameter.detach())
