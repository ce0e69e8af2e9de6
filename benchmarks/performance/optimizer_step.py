"""SGD parameter by parameter against its fused kernel, on a CPU."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from benchmarks.performance.ratio import compare
from benchmarks.performance.sizes import Sizes
from benchmarks.row_running import NotHere

#: Tensors among which the parameters are shared out, about as many as a ResNet has.
_TENSORS = 64


def sgd_row(sizes: Sizes) -> dict[str, Any]:
    """One step with momentum and weight decay.

    Raises:
        NotHere: If this torch has no fused SGD for a CPU.
    """
    return compare(
        {'loop': _step(sizes, fused=False), 'fused': _step(sizes, fused=True)}, sizes, base='fused'
    )


def _step(sizes: Sizes, fused: bool) -> Callable[[], Any]:
    count = sizes.parameters // _TENSORS
    parameters = [torch.nn.Parameter(torch.zeros(count)) for _ in range(_TENSORS)]
    for parameter in parameters:
        parameter.grad = torch.ones(count)
    options: dict[str, Any] = dict(lr=1e-3, momentum=0.9, weight_decay=5e-4)
    options.update(dict(fused=True) if fused else dict(foreach=False))
    try:
        optimizer = torch.optim.SGD(parameters, **options)
        optimizer.step()
    except (TypeError, RuntimeError) as error:
        raise NotHere(f'torch {torch.__version__} has no fused SGD for a CPU') from error
    return optimizer.step
