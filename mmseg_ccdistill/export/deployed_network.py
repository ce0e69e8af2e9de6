"""A segmentor as one function of pixels, for runtimes that know nothing of MMSegmentation."""

from __future__ import annotations

from typing import Any

import torch
from mmseg.models.segmentors import EncoderDecoder
from torch import Tensor, nn


class DeployedNetwork(nn.Module):
    """Normalisation, backbone, neck and decode head: from the pixels of an image to logits.

    The logits have the size of the decode head. :func:`mmseg_ccdistill.models.composed_resize.label_map` makes labels
    of them at any size, in one step.

    Args:
        segmentor: Plain segmentor; it is not copied, and put into evaluation mode.
    """

    def __init__(self, segmentor: EncoderDecoder) -> None:
        super().__init__()
        self.segmentor = segmentor
        preprocessor: Any = segmentor.data_preprocessor
        # Two names of one attribute: that of mmsegmentation, and that of onedl-mmsegmentation.
        names = ('channel_conversion', '_channel_conversion')
        self.turns_channels = any(getattr(preprocessor, name, False) for name in names)
        for name, none in (('mean', 0.0), ('std', 1.0)):
            value = getattr(preprocessor, name, None)
            value = torch.full((3, 1, 1), none) if value is None else value.detach().clone()
            self.register_buffer(name, value.float().view(1, 3, 1, 1))
        self.eval()

    def forward(self, pixels: Tensor) -> Tensor:
        """Logits of an image.

        Args:
            pixels: ``(B, 3, H, W)`` float32 in [0, 255], channels as in the image files (BGR).

        Returns:
            ``(B, K, h, w)`` float32 at the size of the decode head.
        """
        if self.turns_channels:
            pixels = pixels.flip(1)
        pixels = (pixels - self.get_buffer('mean')) / self.get_buffer('std')
        logits: Tensor = self.segmentor.decode_head(self.segmentor.extract_feat(pixels))
        return logits
