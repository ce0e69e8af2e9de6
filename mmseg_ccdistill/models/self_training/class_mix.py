"""ClassMix: pixels of some classes of a labelled image are pasted into an unlabelled one.

After Olsson et al. (WACV 2021) and DACS (Tranheden et al., WACV 2021). Their code draws the classes with
``unique`` and ``choice``, which wait for the device, out of those of the whole batch, the ignored label among them.
Here the random numbers come with the sample, so the choice is a function of tensors, for each image by itself, and
nothing but real classes is pasted.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ...errors import UserInputError

#: Which classes are pasted: half of those present, all things present, or both.
PASTES = ('half', 'things', 'half+things')


@torch.no_grad()
def present_classes(labels: Tensor, num_classes: int) -> Tensor:
    """Which classes each image has.

    Args:
        labels (Tensor): ``(B, H, W)`` int64; values outside 0 to ``num_classes`` - 1 are no class.
        num_classes (int): Number of classes K.

    Returns:
        Tensor: ``(B, K)`` bool.
    """
    known = torch.where((labels >= 0) & (labels < num_classes), labels, num_classes)
    found = torch.zeros(
        len(labels), num_classes + 1, dtype=torch.bool, device=labels.device
    ).scatter(1, known.flatten(1), True)
    return found[:, :num_classes]


@torch.no_grad()
def choose_classes(present: Tensor, uniforms: Tensor) -> Tensor:
    """The half, rounded up, of the present classes that have the largest random numbers.

    Args:
        present (Tensor): ``(B, K)`` bool.
        uniforms (Tensor): u in [0, 1), ``(B, K)``, independent.

    Returns:
        Tensor: ``(B, K)`` bool.
    """
    order = torch.where(present, uniforms, -1.0).argsort(dim=1, descending=True, stable=True)
    rank = order.argsort(1)
    return present & (rank < (present.sum(1, keepdim=True) + 1) // 2)


@torch.no_grad()
def paste_mask(
    labels: Tensor,
    uniforms: Tensor,
    paste: str = 'half',
    things: Tensor | None = None,
) -> Tensor:
    """Pixels of the labelled image that are pasted.

    Args:
        labels (Tensor): ``(B, H, W)`` int64.
        uniforms (Tensor): Random numbers of the classes, ``(B, K)``.
        paste (str): One of :data:`PASTES`. Defaults to ``'half'``.
        things (Tensor, optional): Which classes are things, ``(K,)`` bool; read unless ``paste`` is ``'half'``.

    Returns:
        Tensor: ``(B, H, W)`` bool.

    Raises:
        ValueError: On another ``paste``, or one of things without ``things``.
    """
    if paste not in PASTES:
        raise UserInputError(f'paste must be one of {PASTES}, got {paste!r}.')
    if paste != 'half' and things is None:
        raise ValueError(f'paste={paste!r} needs to know which classes are things.')
    num_classes = uniforms.shape[1]
    present = present_classes(labels, num_classes)
    chosen = torch.zeros_like(present)
    if paste != 'things':
        chosen = choose_classes(present, uniforms)
    if things is not None and paste != 'half':
        chosen = chosen | (present & things)
    # One column more for what is no class: it is never chosen.
    chosen = torch.cat([chosen, torch.zeros_like(chosen[:, :1])], dim=1)
    known = torch.where((labels >= 0) & (labels < num_classes), labels, num_classes)
    return chosen.gather(1, known.flatten(1)).view_as(labels)


def paste_into(mask: Tensor, source: Tensor, target: Tensor) -> Tensor:
    """Pixels of the source where the mask is set, of the target elsewhere.

    Args:
        mask (Tensor): ``(B, H, W)`` bool.
        source (Tensor): Images ``(B, C, H, W)``, or labels or weights ``(B, H, W)``.
        target (Tensor): Same shape.

    Returns:
        Tensor: Same shape.
    """
    return torch.where(mask.unsqueeze(1) if source.ndim == 4 else mask, source, target)
