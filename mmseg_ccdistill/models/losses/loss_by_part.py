"""A loss of each part of a mixed batch on its own, and their weighted sum."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor


def loss_by_part(
    loss: Callable[[Tensor, Tensor], Tensor], logits: Tensor, labels: Tensor, parts: Sequence[str]
) -> dict[str, Tensor]:
    """The loss over the images of each part.

    A mean over the whole batch weighs the parts by their valid pixels; it is not the sum of these.

    Args:
        loss (Callable): Loss of logits ``(b, K, h, w)`` and labels ``(b, H, W)``, a scalar.
        logits (Tensor): ``(B, K, h, w)``, of the size that ``loss`` takes.
        labels (Tensor): ``(B, H, W)`` int64.
        parts (Sequence[str]): Name of the part of each image, B of them.

    Returns:
        dict[str, Tensor]: Scalars by part, in the order in which the parts come up.
    """
    found = {}
    for name in dict.fromkeys(parts):
        chosen = [k for k, part in enumerate(parts) if part == name]
        found[name] = loss(logits[chosen], labels[chosen])
    return found


def weigh_parts(losses: Mapping[str, Tensor], weights: Mapping[str, float]) -> Tensor:
    r"""The weighted sum of the losses of the parts.

    .. math:: L = \sum_p \lambda_p L_p

    Args:
        losses (Mapping): Scalars by part.
        weights (Mapping): :math:`\lambda` by part, one for each part of ``losses``.

    Returns:
        Tensor: Scalar.
    """
    return torch.stack([weights[name] * value for name, value in losses.items()]).sum()
