"""Images of which most patches are hidden (MIC, Hoyer et al., CVPR 2023)."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F


@torch.no_grad()
def hide_patches(images: Tensor, uniforms: Tensor, ratio: float) -> Tensor:
    """Hide a share of the cells of a grid: normalised images become 0 there, the mean colour.

    Args:
        images (Tensor): Normalised, ``(B, 3, H, W)``.
        uniforms (Tensor): A random number for each cell, in [0, 1), ``(B, h, w)``.
        ratio (float): Cells below it are hidden.

    Returns:
        Tensor: ``(B, 3, H, W)``.
    """
    kept = (uniforms >= ratio).to(images.dtype).unsqueeze(1)
    return images * F.interpolate(kept, size=images.shape[2:], mode='nearest')
