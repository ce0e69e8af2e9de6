"""Weights that other implementations can repeat: the recipe of the golden numbers of whole networks."""

from __future__ import annotations

import torch
from golden_maps import normal
from torch import nn


def fill(module: nn.Module) -> nn.Module:
    """Fill a module in float64: the i-th key, sorted, from ``RandomState(i)``.

    Filters are divided by the root of their size, biases of convolutions multiplied by 0.1, batch norms neutral.
    """
    module.double()
    state = module.state_dict()
    norms = {name for name, m in module.named_modules() if isinstance(m, nn.BatchNorm2d)}
    for i, key in enumerate(sorted(state)):
        value = state[key]
        owner = key.rpartition('.')[0]
        if key.endswith('num_batches_tracked'):
            state[key] = torch.zeros_like(value)
        elif owner in norms:
            one = key.endswith(('weight', 'running_var'))
            state[key] = torch.ones_like(value) if one else torch.zeros_like(value)
        elif value.dim() == 4:
            state[key] = normal(i, *value.shape) / (value.numel() / value.shape[0]) ** 0.5
        else:
            state[key] = 0.1 * normal(i, *value.shape)
    module.load_state_dict(state)
    return module
