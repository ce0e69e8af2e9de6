"""DANNet's relighting network."""

from __future__ import annotations

import torch
from mmengine.model import BaseModule
from mmseg.registry import MODELS
from mmseg.utils import OptMultiConfig
from torch import Tensor, nn
from torch.nn import functional as F

#: Two layers of stride 2 go down and up again: sides are padded to a multiple of this.
_STRIDE = 4


class ResidualBlock(nn.Module):
    """``x + BN(conv(ReLU(BN(conv(x)))))`` with reflected borders, and no ReLU after the sum.

    Args:
        channels (int): Channels of x.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv_block = nn.Sequential(
            nn.ReflectionPad2d(1),
            nn.Conv2d(channels, channels, 3, bias=False),
            nn.BatchNorm2d(channels),
            nn.ReLU(inplace=True),
            nn.ReflectionPad2d(1),
            nn.Conv2d(channels, channels, 3, bias=False),
            nn.BatchNorm2d(channels),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Apply the block to ``(B, C, H, W)``."""
        return x + self.conv_block(x)


@MODELS.register_module()
class LightNet(BaseModule):
    r"""What DANNet adds to an image: :math:`r = G(x)`, and :math:`x' = x + r` is what the segmentor sees.

    Wu et al., DANNet, CVPR 2021. Convolutions down to a quarter of the size, residual blocks, transposed convolutions
    up again, tanh. On images that are normalised as for ImageNet the tanh bounds r by about 58 grey levels, so it
    cannot turn night into day. Batch normalisation; no convolution but the last has a bias; first weights are torch's.
    At the defaults 4,299,395 parameters, whose names are those of the released weights (``dannet_*_light.pth``).

    Sides that 4 does not divide are padded by reflection, and r is cropped.

    Args:
        in_channels (int): Channels of the image. Defaults to 3.
        base_channels (int): Channels of the first layer; twice and four times as many below. Defaults to 64.
        num_blocks (int): Residual blocks. Defaults to 3.
        init_cfg (dict, optional): Initialisation. Defaults to None, torch's.
    """

    def __init__(
        self,
        in_channels: int = 3,
        base_channels: int = 64,
        num_blocks: int = 3,
        init_cfg: OptMultiConfig = None,
    ) -> None:
        super().__init__(init_cfg)
        c = base_channels
        down = [
            nn.ReflectionPad2d(3),
            nn.Conv2d(in_channels, c, 7, bias=False),
            nn.BatchNorm2d(c),
            nn.ReLU(inplace=True),
        ]
        for width in (c, 2 * c):
            down += [
                nn.Conv2d(width, 2 * width, 3, stride=2, padding=1, bias=False),
                nn.BatchNorm2d(2 * width),
                nn.ReLU(inplace=True),
            ]
        up: list[nn.Module] = []
        for width in (4 * c, 2 * c):
            up += [
                nn.ConvTranspose2d(width, width // 2, 3, 2, 1, output_padding=1, bias=False),
                nn.BatchNorm2d(width // 2),
                nn.ReLU(inplace=True),
            ]
        up += [nn.ReflectionPad2d(3), nn.Conv2d(c, in_channels, 7), nn.Tanh()]
        self.model = nn.Sequential(*down, *(ResidualBlock(4 * c) for _ in range(num_blocks)), *up)

    def forward(self, images: Tensor) -> Tensor:
        """The change of light.

        Args:
            images (Tensor): x, normalised, ``(B, C, H, W)``, sides of at least 8.

        Returns:
            Tensor: r, ``(B, C, H, W)``, in (-1, 1).
        """
        height, width = images.shape[2:]
        below, right = -height % _STRIDE, -width % _STRIDE
        if below or right:
            images = F.pad(images, (0, right, 0, below), mode='reflect')
        return self.model(images)[:, :, :height, :width]


def relight(light_net: nn.Module, images: Tensor) -> tuple[Tensor, Tensor]:
    """An image in its new light.

    Args:
        light_net (nn.Module): G.
        images (Tensor): x, ``(B, 3, H, W)``, normalised.

    Returns:
        tuple: x' = x + G(x) and r = G(x).
    """
    change = light_net(images)
    return torch.add(images, change), change
