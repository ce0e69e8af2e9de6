"""A light decoder for the last map of a plain vision transformer: logits at a quarter of the image's size."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mmseg.models.decode_heads.decode_head import BaseDecodeHead
from mmseg.registry import MODELS
from torch import Tensor, nn
from torch.nn import functional as F

from ...errors import UserInputError


class ChannelNorm(nn.LayerNorm):
    """Layer normalisation of the channels of each position of a map.

    Args:
        channels (int): Channels.
    """

    def __init__(self, channels: int) -> None:
        super().__init__(channels, eps=1e-6)

    def forward(self, x: Tensor) -> Tensor:
        """``(B, C, H, W)`` to the same shape."""
        return super().forward(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


@MODELS.register_module()
class PerPixelHead(BaseDecodeHead):
    """The decoder of VFM-UDA (Englert et al., CVPRW 2024) on one map of stride 16 or 14.

    A 2x2 transposed convolution of stride 2 to half the channels, layer norm, GELU; another one to a quarter, layer
    norm; a 3x3 convolution, layer norm; a 1x1 classifier. None but the classifier has a bias (theirs has none,
    either). On 384 channels and 19 classes 454,195 parameters, on 768 1,811,539, on 1024 3,218,195.

    Args:
        in_channels (int): Channels C of the map, a multiple of 4.
        dropout_ratio (float): Dropout probability before the classifier. Defaults to 0, as published.
        align_corners (bool): See ``F.interpolate``. Defaults to False.
        **kwargs: See mmseg's ``BaseDecodeHead``; ``num_classes`` is required, ``channels`` is not an argument.

    Raises:
        UserInputError: If ``in_channels`` lists several maps or is no multiple of 4.
    """

    def __init__(
        self,
        in_channels: int,
        *,
        dropout_ratio: float = 0.0,
        align_corners: bool = False,
        **kwargs: Any,
    ) -> None:
        if not isinstance(in_channels, int) or in_channels < 4 or in_channels % 4:
            raise UserInputError(
                'PerPixelHead: in_channels must be the width of one backbone map, a multiple of 4, '
                f'got {in_channels!r}; name one map by in_index and set in_channels to its width.'
            )
        half, quarter = in_channels // 2, in_channels // 4
        super().__init__(
            in_channels,
            quarter,
            dropout_ratio=dropout_ratio,
            align_corners=align_corners,
            **kwargs,
        )
        self.up1 = nn.ConvTranspose2d(in_channels, half, 2, stride=2, bias=False)
        self.norm1 = ChannelNorm(half)
        self.up2 = nn.ConvTranspose2d(half, quarter, 2, stride=2, bias=False)
        self.norm2 = ChannelNorm(quarter)
        self.conv = nn.Conv2d(quarter, quarter, 3, padding=1, bias=False)
        self.norm3 = ChannelNorm(quarter)

    def _forward_feature(self, inputs: Sequence[Tensor]) -> Tensor:
        """Last feature map, before dropout and classifier.

        Args:
            inputs (Sequence[Tensor]): Backbone maps.

        Returns:
            Tensor: ``(B, C / 4, 4 H, 4 W)`` for a map ``(B, C, H, W)``.
        """
        x = F.gelu(self.norm1(self.up1(self._transform_inputs(inputs))))
        return self.norm3(self.conv(self.norm2(self.up2(x))))

    def forward(self, inputs: Sequence[Tensor]) -> Tensor:
        """Logits at four times the size of the map.

        Args:
            inputs (Sequence[Tensor]): Backbone maps.

        Returns:
            Tensor: ``(B, out_channels, 4 H, 4 W)``.
        """
        return self.cls_seg(self._forward_feature(inputs))
