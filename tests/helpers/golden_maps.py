"""The random maps and weights of all golden numbers: numpy's frozen RandomState, scaled."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn


def normal(seed: int, *shape: int) -> Tensor:
    """Standard normal numbers, float64.

    Args:
        seed (int): Seed.
        *shape (int): Shape.
    """
    return torch.from_numpy(np.random.RandomState(seed).standard_normal(shape))


def fill(module: nn.Module, seed: int) -> nn.Module:
    """The i-th parameter from seed + i: filters divided by the root of their size, biases times 0.1.

    Args:
        module (nn.Module): Changed in place, to float64.
        seed (int): Seed of the first parameter.
    """
    module.double()
    for i, parameter in enumerate(module.parameters()):
        values = normal(seed + i, *parameter.shape)
        scale = 0.1 if parameter.dim() == 1 else parameter[0].numel() ** -0.5
        parameter.data = values * scale
    return module
