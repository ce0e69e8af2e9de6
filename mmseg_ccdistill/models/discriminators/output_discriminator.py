"""Discriminator on maps of class probabilities (AdaptSegNet, Tsai et al., CVPR 2018)."""

from __future__ import annotations

from mmengine.model import BaseModule
from mmseg.registry import MODELS
from mmseg.utils import OptMultiConfig
from torch import Tensor, nn

from ...errors import UserInputError

#: Width of the first layer, doubled by each of the next three; the last one has one channel.
_WIDTH = 64

#: Five layers of stride 2: a smaller map has no score.
_SMALLEST = 32


@MODELS.register_module()
class OutputDiscriminator(BaseModule):
    """Five 4x4 convolutions of stride 2, K-64-128-256-512-1, with LeakyReLU(0.2) between them and no norm.

    2,781,121 parameters at 19 classes. The scores are raw: no sigmoid. Weights start as torch draws them.

    Args:
        in_channels (int): Number of classes K. Defaults to 19.
        init_cfg (dict, optional): Initialisation. Defaults to None, torch's own.
    """

    def __init__(self, in_channels: int = 19, init_cfg: OptMultiConfig = None) -> None:
        super().__init__(init_cfg=init_cfg)
        self.in_channels = in_channels
        widths = (in_channels, _WIDTH, 2 * _WIDTH, 4 * _WIDTH, 8 * _WIDTH, 1)
        layers: list[nn.Module] = []
        for inputs, outputs in zip(widths[:-1], widths[1:], strict=True):
            layers += [
                nn.Conv2d(inputs, outputs, 4, stride=2, padding=1),
                nn.LeakyReLU(0.2, inplace=True),
            ]
        self.layers = nn.Sequential(*layers[:-1])

    def forward(self, maps: Tensor) -> Tensor:
        """Scores of a map's patches of 94 pixels.

        Args:
            maps (Tensor): Probabilities ``(B, K, H, W)`` at the size of the image, not at that of the logits.

        Returns:
            Tensor: ``(B, 1, H // 32, W // 32)``; below 0.5 (least squares) or 0 (vanilla) it looks like the source.

        Raises:
            ValueError: If a side is below 32.
        """
        if min(maps.shape[2:]) < _SMALLEST:
            raise UserInputError(
                f'OutputDiscriminator got a map of {tuple(maps.shape[2:])}: expected sides of {_SMALLEST} and more; '
                'feed probabilities at the size of the image, and take larger crops.'
            )
        return self.layers(maps)
