"""What an optimizer does to each parameter."""

from __future__ import annotations

from mmengine.optim import OptimWrapper
from torch import nn


def parameter_rates(
    model: nn.Module, optim_wrapper: OptimWrapper
) -> dict[str, tuple[float, float]]:
    """Learning rate and weight decay by parameter name.

    Args:
        model (nn.Module): The model whose parameters are optimised.
        optim_wrapper (OptimWrapper): Built for it.

    Returns:
        dict[str, tuple[float, float]]: In the order of ``named_parameters``; a frozen parameter is left out.
    """
    rates = {
        id(parameter): (group['lr'], group['weight_decay'])
        for group in optim_wrapper.optimizer.param_groups
        for parameter in group['params']
    }
    return {
        name: rates[id(parameter)]
        for name, parameter in model.named_parameters()
        if id(parameter) in rates
    }
