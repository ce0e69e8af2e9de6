"""A loss that runs its backward pass at once, so that what it keeps is freed before the next one is computed.

A loss L of some inputs x (feature maps) and weights w gives its gradients dL/dx and dL/dw as soon as its value is
known. They are kept, and the graph of L is freed. In the backward pass of the whole sum, which comes later, L is a node
whose gradients are there already: g * dL/dx goes on into x, g * dL/dw into w, where g is what the sum and a loss scaler
hand down. So each weight gets its gradient where it always does, in one backward pass, and distributed training,
accumulation and guards see nothing new.

What is kept instead of the graph: dL/dx, as large as the maps, and dL/dw, which the backward pass makes anyway. For a
loss of logits that are enlarged to the size of the labels this is little: dL/dx is small, while the graph holds
log-probabilities of every pixel.

The gradients are those of the plain backward pass bit for bit if g is a power of two, and within a rounding otherwise.
Not in float16: gradients that no loss scaler has enlarged vanish there, so losses of float16 maps, and all losses under
float16 autocast, keep their graph.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch
from mmseg.models.segmentors import EncoderDecoder
from torch import Tensor, nn


def early_backward(
    losses: Callable[[list[Tensor]], dict[str, Tensor]],
    maps: Sequence[Tensor],
    weights: Iterable[Tensor] = (),
) -> dict[str, Tensor]:
    """Compute losses and their gradients, and free what they keep.

    Args:
        losses: Scalars by name as a function of the maps; those without a graph are handed through. What has a graph
            and is neither a map nor a weight must not go into it: it would get no gradient.
        maps: Feature maps of any shapes, with or without a graph; none for a loss with a whole forward pass in it.
        weights: All weights that the losses train. Defaults to none.

    Returns:
        The losses, with the values and gradients of ``losses(maps)``; there is no second derivative.
    """
    trained = [weight for weight in weights if weight.requires_grad]
    if not torch.is_grad_enabled() or _is_float16(maps or trained[:1]):
        return losses(list(maps))
    names: list[str] = []

    def values(leaves: list[Tensor]) -> list[Tensor]:
        found = losses(leaves)
        names.extend(found)
        return list(found.values())

    results = _EarlyBackward.apply(values, len(maps), *maps, *trained)
    return dict(zip(names, results, strict=True))


def _is_float16(tensors: Sequence[Tensor]) -> bool:
    """Whether tensors are float16, or autocast makes their products so; nothing is computed."""
    empty = [tensor.new_empty(0, 0) for tensor in tensors]
    return any(torch.float16 in (each.dtype, (each @ each).dtype) for each in empty)


def head_weights(branch: EncoderDecoder) -> list[nn.Parameter]:
    """Weights of a network's decode head and auxiliary heads."""
    auxiliary = [branch.auxiliary_head] if branch.with_auxiliary_head else []
    return [weight for head in (branch.decode_head, *auxiliary) for weight in head.parameters()]


class _EarlyBackward(torch.autograd.Function):
    """Several scalars and their gradients with respect to maps and weights."""

    @staticmethod
    def forward(
        context: Any, values: Callable[[list[Tensor]], list[Tensor]], number: int, *inputs: Tensor
    ) -> tuple[Tensor, ...]:
        with torch.enable_grad():
            leaves = [m.detach().requires_grad_(m.requires_grad) for m in inputs[:number]]
            maps = [leaf for leaf in leaves if leaf.requires_grad]
            computed = values(leaves)
            results = tuple(value.detach() for value in computed)
            context.is_loss = [value.requires_grad for value in computed]
            losses = [value for value in computed if value.requires_grad]
            del computed
            of_maps: list[Tensor | None] = []
            context.of_weights = []
            while losses:
                loss = losses.pop(0)  # goes with its graph before the next one
                found = torch.autograd.grad(
                    loss, [*maps, *inputs[number:]], retain_graph=bool(losses), allow_unused=True
                )
                of_maps += found[: len(maps)]
                context.of_weights += found[len(maps) :]  # no maps: not saved as such
        context.has_graph = [leaf.requires_grad for leaf in leaves]
        context.save_for_backward(*of_maps)
        context.mark_non_differentiable(
            *(r for r, is_loss in zip(results, context.is_loss, strict=True) if not is_loss)
        )
        return results

    @staticmethod
    def backward(context: Any, *scales: Tensor) -> tuple[Tensor | None, ...]:
        scales = tuple(s for s, is_loss in zip(scales, context.is_loss, strict=True) if is_loss)
        of_maps = iter(_scaled_sums(context.saved_tensors, scales))
        of_weights = _scaled_sums(context.of_weights, scales)
        if of_weights:  # large, and not freed with the graph
            context.of_weights = None
        maps = (next(of_maps) if has_graph else None for has_graph in context.has_graph)
        return (None, None, *maps, *of_weights)


def _scaled_sums(
    gradients: Sequence[Tensor | None], scales: Sequence[Tensor]
) -> list[Tensor | None]:
    """Sum over losses of scale times gradient; all gradients of the first loss come first."""
    width = len(gradients) // max(len(scales), 1)
    sums: list[Tensor | None] = [None] * width
    for number, scale in enumerate(scales):
        own = gradients[number * width : (number + 1) * width]
        found = {index: gradient for index, gradient in enumerate(own) if gradient is not None}
        if found:  # all at once: a kernel for each weight of a network would take its time
            found = dict(zip(found, torch._foreach_mul([*found.values()], scale), strict=True))
        for index, scaled in found.items():
            earlier = sums[index]
            sums[index] = scaled if earlier is None else earlier + scaled
    return sums
