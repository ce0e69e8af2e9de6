"""Activation checkpointing: parts of a network forget their maps and compute them again for the backward pass.

Chen et al., "Training Deep Nets with Sublinear Memory Cost", 2016. Memory is traded for a second forward pass of
the named parts; losses and gradients stay the same. ``use_reentrant=False`` of torch, which distributed training needs.

A second forward pass in training mode would update running statistics of batch normalisation a second time. Here
it does not: the statistics of a run with recomputation are those of one without.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils.checkpoint import checkpoint

from ..errors import UserInputError


def recompute(network: nn.Module, names: Sequence[str], owner: str) -> int:
    """Let the modules of some classes compute their maps again in the backward pass.

    Args:
        network: Changed in place.
        names: Names of classes, e.g. ``'Bottleneck'``. Modules inside of a chosen one are not chosen themselves.
        owner: Name of the network, for the message.

    Returns:
        Number of modules that were chosen.

    Raises:
        UserInputError: If no module is of one of the classes.
    """
    present = {type(module).__name__ for module in network.modules()}
    unknown = [name for name in names if name not in present]
    if unknown:
        raise UserInputError(
            f'recompute: {owner} has no module of the class {unknown[0]!r}; it has {", ".join(sorted(present))}'
        )
    return _choose(network, frozenset(names))


def _choose(parent: nn.Module, names: frozenset[str]) -> int:
    chosen = 0
    for child in parent.children():
        if type(child).__name__ in names:
            chosen += 1
            if getattr(child.forward, 'func', None) is _recomputed:
                continue  # another network has it as well
            draws = any('Drop' in type(module).__name__ for module in child.modules())
            child.forward = functools.partial(_recomputed, child, child.forward, draws)
        else:
            chosen += _choose(child, names)
    return chosen


def _recomputed(
    module: nn.Module, forward: Callable[..., Any], draws: bool, *inputs: Any, **named: Any
) -> Any:
    """The module's own forward, its maps forgotten if a backward pass may follow.

    A module without parameters that are trained, such as a block of a frozen ViT, is in evaluation mode in training,
    too; what lies before it is trained.

    Args:
        module: Module.
        forward: Its own forward.
        draws: Whether it draws random numbers, which the second pass must repeat.
        *inputs: Of the forward.
        **named: Of the forward.
    """
    reached = module.training or any(i.requires_grad for i in inputs if isinstance(i, torch.Tensor))
    if not (reached and torch.is_grad_enabled()):
        return forward(*inputs, **named)

    def contexts() -> tuple[AbstractContextManager, AbstractContextManager]:
        return nullcontext(), kept_statistics(module)

    return checkpoint(
        forward,
        *inputs,
        use_reentrant=False,
        preserve_rng_state=draws,
        context_fn=contexts,
        **named,
    )


@contextmanager
def kept_statistics(module: nn.Module) -> Iterator[None]:
    """Leave running statistics as they are, though layers normalise with those of the batch.

    Args:
        module: Contains the layers.
    """
    layers = [m for m in module.modules() if isinstance(m, _BatchNorm)]
    before = [(layer.momentum, layer.num_batches_tracked) for layer in layers]
    for layer in layers:
        layer.momentum = 0.0  # 0 of the batch, 1 of what is there
        layer.num_batches_tracked = None
    try:
        yield
    finally:
        for layer, (momentum, count) in zip(layers, before, strict=True):
            layer.momentum, layer.num_batches_tracked = momentum, count
