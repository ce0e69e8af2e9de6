"""RefineNet decoder (Lin et al., CVPR 2017), the paper's segmentor."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mmseg.models.decode_heads.decode_head import BaseDecodeHead
from mmseg.registry import MODELS
from torch import Tensor, nn
from torch.nn import functional as F

from ...errors import UserInputError


def _conv3x3(in_channels: int, out_channels: int, bias: bool = False) -> nn.Conv2d:
    """3x3 convolution that keeps the size."""
    return nn.Conv2d(in_channels, out_channels, 3, padding=1, bias=bias)


class ResidualConvUnit(nn.Module):
    """``x + conv2(relu(conv1(relu(x))))``; only the first convolution has a bias.

    Args:
        channels (int): Channels in and out.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = _conv3x3(channels, channels, bias=True)
        self.conv2 = _conv3x3(channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        """``(B, C, H, W)`` to the same shape."""
        return x + self.conv2(F.relu(self.conv1(F.relu(x)), inplace=True))


class ChainedResidualPooling(nn.Module):
    """A chain of max-pool and convolution whose every link is added to the input.

    Pooling comes before the convolution, as in the published PyTorch weights; a later revision of
    the original MATLAB code has the opposite order, and weights of one do not fit the other.

    Args:
        channels (int): Channels in and out.
        num_stages (int): Links of the chain.
        pool_size (int): Side of the pooling window, odd.
    """

    def __init__(self, channels: int, num_stages: int, pool_size: int) -> None:
        super().__init__()
        self.pool = nn.MaxPool2d(pool_size, stride=1, padding=pool_size // 2)
        self.convs = nn.ModuleList([_conv3x3(channels, channels) for _ in range(num_stages)])

    def forward(self, x: Tensor) -> Tensor:
        """``(B, C, H, W)``, after a ReLU, to the same shape."""
        link = x
        for conv in self.convs:
            link = conv(self.pool(link))
            x = x + link
        return x


class RefineNetBlock(nn.Module):
    """One of the cascaded blocks: adapt, fuse with the deeper path, pool, refine.

    Args:
        in_channels (int): Channels of the backbone map.
        channels (int): Width of the block, and channels of the deeper path.
        next_channels (int, optional): Channels handed to the next block; None: this is the last
            one, which hands on its own width without a further convolution.
        fuses (bool): Whether a deeper path comes in.
        num_input_rcus (int): Residual units before the fusion.
        num_output_rcus (int): Residual units after the pooling.
        num_crp_stages (int): Links of the pooling chain.
        pool_size (int): Side of its window.
    """

    def __init__(
        self,
        in_channels: int,
        channels: int,
        next_channels: int | None,
        fuses: bool,
        num_input_rcus: int,
        num_output_rcus: int,
        num_crp_stages: int,
        pool_size: int,
    ) -> None:
        super().__init__()
        self.dimred = _conv3x3(in_channels, channels)
        self.input_rcus = nn.Sequential(
            *[ResidualConvUnit(channels) for _ in range(num_input_rcus)]
        )
        self.lateral = _conv3x3(channels, channels) if fuses else None
        self.crp = ChainedResidualPooling(channels, num_crp_stages, pool_size)
        self.output_rcus = nn.Sequential(
            *[ResidualConvUnit(channels) for _ in range(num_output_rcus)]
        )
        self.out_conv = _conv3x3(channels, next_channels) if next_channels is not None else None

    def forward(self, x: Tensor, deeper: Tensor | None = None) -> Tensor:
        """Map of this level from the backbone's.

        Args:
            x (Tensor): Backbone map ``(B, in_channels, H, W)``.
            deeper (Tensor, optional): Path of the deeper block at this size, ``(B, channels, H,
                W)``.

        Returns:
            Tensor: ``(B, next_channels or channels, H, W)``.
        """
        x = self.input_rcus(self.dimred(x))
        if self.lateral is not None and deeper is not None:
            x = self.lateral(x) + deeper
        x = self.output_rcus(self.crp(F.relu(x)))
        return x if self.out_conv is None else self.out_conv(x)


@MODELS.register_module()
class RefineNetHead(BaseDecodeHead):
    """RefineNet: cascaded refinement from the deepest backbone map to the shallowest.

    At its defaults and on ResNet-101 maps this is the network of the published PyTorch weights: no
    norm layer in the decoder, all convolutions 3x3, bilinear upsampling with aligned corners,
    element-wise dropout on the two deepest maps and before a 3x3 classifier. 75,547,667 parameters.

    Blocks are counted from the deepest map: ``blocks.0`` reads ``in_channels[-1]``.

    Args:
        in_channels (Sequence[int]): Channels of the backbone maps, shallow to deep, at least two.
        channels (int): Width of the last map. Defaults to 256.
        block_channels (Sequence[int], optional): Width of each block, deep to shallow; the last one
            is ``channels``. Defaults to None: twice ``channels`` for the deepest, ``channels`` for
            the others.
        num_input_rcus (int): Residual units before each fusion. Defaults to 2.
        num_output_rcus (int): Residual units after each pooling chain: one of the block's own and
            two of the next block's input. Defaults to 3.
        num_crp_stages (int): Links of each pooling chain. Defaults to 4.
        pool_size (int): Side of the pooling window, odd. Defaults to 5.
        in_index (Sequence[int], optional): Which backbone maps. Defaults to None, the first
            ``len(in_channels)``.
        dropout_ratio (float): Dropout probability. Defaults to 0.5.
        align_corners (bool): See ``F.interpolate``. Defaults to True.
        **kwargs: See mmseg's ``BaseDecodeHead``; ``num_classes`` is required.

    Raises:
        UserInputError: If there are fewer than two maps, the widths do not fit, or the window is even.
    """

    def __init__(
        self,
        in_channels: Sequence[int],
        channels: int = 256,
        *,
        block_channels: Sequence[int] | None = None,
        num_input_rcus: int = 2,
        num_output_rcus: int = 3,
        num_crp_stages: int = 4,
        pool_size: int = 5,
        in_index: Sequence[int] | None = None,
        dropout_ratio: float = 0.5,
        align_corners: bool = True,
        **kwargs: Any,
    ) -> None:
        if not isinstance(in_channels, (list, tuple)) or len(in_channels) < 2:
            raise UserInputError(
                'RefineNetHead: in_channels must list at least two backbone maps, '
                f'got {in_channels!r}.'
            )
        levels = len(in_channels)
        widths = (
            [2 * channels] + [channels] * (levels - 1)
            if block_channels is None
            else list(block_channels)
        )
        if len(widths) != levels or widths[-1] != channels:
            raise UserInputError(
                f'RefineNetHead: block_channels must have {levels} widths, deep to shallow, and '
                f'end with channels={channels}, got {widths}.'
            )
        if pool_size % 2 == 0:
            raise UserInputError(
                f'RefineNetHead: pool_size must be odd to keep the size, got {pool_size}.'
            )
        in_index = list(range(levels)) if in_index is None else in_index
        if kwargs.setdefault('input_transform', 'multiple_select') != 'multiple_select':
            raise UserInputError("RefineNetHead: input_transform must be 'multiple_select'.")
        super().__init__(
            in_channels,
            channels,
            in_index=in_index,
            dropout_ratio=dropout_ratio,
            align_corners=align_corners,
            **kwargs,
        )
        self.blocks = nn.ModuleList(
            [
                RefineNetBlock(
                    in_channels=in_channels[levels - 1 - b],
                    channels=widths[b],
                    next_channels=widths[b + 1] if b + 1 < levels else None,
                    fuses=b > 0,
                    num_input_rcus=num_input_rcus,
                    num_output_rcus=num_output_rcus,
                    num_crp_stages=num_crp_stages,
                    pool_size=pool_size,
                )
                for b in range(levels)
            ]
        )
        # The base class makes a 1x1 classifier and a dropout of whole channels.
        self.conv_seg = _conv3x3(channels, self.out_channels, bias=True)
        self.dropout = nn.Dropout(dropout_ratio) if dropout_ratio > 0 else None

    def _forward_feature(self, inputs: Sequence[Tensor]) -> Tensor:
        """Last feature map, before dropout and classifier.

        Args:
            inputs (Sequence[Tensor]): Backbone maps, shallow to deep.

        Returns:
            Tensor: ``(B, channels, H, W)``, H and W those of the shallowest map.
        """
        maps: list[Tensor] = list(self._transform_inputs(inputs))[::-1]
        path: Tensor | None = None
        for depth, (block, x) in enumerate(zip(self.blocks, maps, strict=True)):
            if depth < 2 and self.dropout is not None:
                x = self.dropout(x)
            if path is not None:
                path = F.interpolate(
                    path, x.shape[2:], mode='bilinear', align_corners=self.align_corners
                )
            path = block(x, path)
        assert path is not None
        return path

    def forward(self, inputs: Sequence[Tensor]) -> Tensor:
        """Logits at the size of the shallowest map.

        Args:
            inputs (Sequence[Tensor]): Backbone maps, shallow to deep.

        Returns:
            Tensor: ``(B, out_channels, H, W)``.
        """
        return self.cls_seg(self._forward_feature(inputs))
