"""Colour jitter and blur of normalised images, with numbers that come with the sample.

DACS and DAFormer jitter (kornia) and blur the mixed image. Theirs ask the host whether and how much, once for the whole
batch. Here each image has numbers of its own, and those of no change leave it as it is. Hue turns about the grey axis,
so it does not matter whether red or blue is the first channel.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F

from ..precision import autocast_off, full_precision

#: Columns of the numbers: factors of brightness, contrast and saturation, turn of the hue (1 is a full circle),
#: standard deviation of the blur in pixels. (1, 1, 1, 0, 0) changes nothing.
LOOK = ('brightness', 'contrast', 'saturation', 'hue', 'blur')
#: Half width of the blur in pixels: more than four times the largest standard deviation, 1.15.
BLUR_RADIUS = 5


@torch.no_grad()
def change_look(images: Tensor, look: Tensor, mean: Tensor, std: Tensor) -> Tensor:
    """Jitter the colours, then blur.

    Args:
        images (Tensor): Normalised, ``(B, 3, H, W)``.
        look (Tensor): ``(B, 5)``, see :data:`LOOK`.
        mean (Tensor): What was subtracted from the pixels in 0 to 255, ``(3, 1, 1)``.
        std (Tensor): What they were divided by.

    Returns:
        Tensor: ``(B, 3, H, W)``, of the same type.
    """
    with autocast_off(images):
        scaled = (full_precision(images) * std + mean) / 255
        look = look.to(scaled.dtype)
        jittered = ((jitter(scaled, look[:, :4]) * 255) - mean) / std
        same = (look[:, :3] == 1).all(1) & (look[:, 3] == 0)
        changed = torch.where(same.view(-1, 1, 1, 1), full_precision(images), jittered)
        return blur(changed, look[:, 4]).to(images.dtype)


def jitter(images: Tensor, factors: Tensor) -> Tensor:
    """Brightness, contrast about the mean grey of the image, saturation, hue, in this order.

    Args:
        images (Tensor): In [0, 1], ``(B, 3, H, W)``.
        factors (Tensor): The first four of :data:`LOOK`, ``(B, 4)``.

    Returns:
        Tensor: In [0, 1].
    """
    brightness, contrast, saturation, hue = factors.view(-1, 4, 1, 1, 1).unbind(1)
    x = images * brightness
    grey = x.mean((1, 2, 3), keepdim=True)
    x = grey + contrast * (x - grey)
    grey = x.mean(1, keepdim=True)
    chroma = saturation * (x - grey)
    angle = 2 * math.pi * hue
    # Rodrigues' rotation about (1, 1, 1) of a vector at right angles to it.
    across = (chroma.roll(-2, 1) - chroma.roll(-1, 1)) / math.sqrt(3)
    return (grey + angle.cos() * chroma + angle.sin() * across).clamp(0, 1)


def blur(images: Tensor, sigma: Tensor) -> Tensor:
    """Gaussian blur, each image by its own standard deviation; mirrored borders.

    Args:
        images (Tensor): ``(B, C, H, W)``, sides above :data:`BLUR_RADIUS`.
        sigma (Tensor): In pixels, ``(B,)``; 0 changes nothing.

    Returns:
        Tensor: Same shape.
    """
    batch, channels, height, width = images.shape
    offsets = torch.arange(-BLUR_RADIUS, BLUR_RADIUS + 1, device=images.device, dtype=images.dtype)
    kernel = (-offsets.square() / (2 * sigma.clamp_min(1e-3).square().view(-1, 1))).exp()
    kernel = (kernel / kernel.sum(1, keepdim=True)).repeat_interleave(channels, 0)
    x = F.pad(images, [BLUR_RADIUS] * 4, mode='reflect').flatten(0, 1).unsqueeze(0)
    x = F.conv2d(x, kernel.view(batch * channels, 1, 1, -1), groups=batch * channels)
    x = F.conv2d(x, kernel.view(batch * channels, 1, -1, 1), groups=batch * channels)
    return x.view(batch, channels, height, width)
