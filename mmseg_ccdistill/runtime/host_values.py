"""Values of a run come to the host together, at intervals."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor


def to_host(values: Sequence[Any]) -> list[float]:
    """Numbers of scalars that lie on one device, in their order, in one transfer."""
    tensors = [value for value in values if isinstance(value, Tensor)]
    device = tensors[0].device if tensors else torch.device('cpu')
    scalars = [
        torch.as_tensor(value, device=device).detach().double().reshape(()) for value in values
    ]
    return torch.stack(scalars).tolist() if scalars else []


def is_due(runner: Any, interval: int) -> bool:
    """Whether this is the first or the last iteration, or the end of an interval."""
    done = runner.iter + 1
    return done % interval == 0 or done == 1 or done >= runner.max_iters
