"""DANNet's discriminators of output maps."""

from __future__ import annotations

from mmengine.model import BaseModule
from mmseg.registry import MODELS
from mmseg.utils import OptMultiConfig
from torch import Tensor, nn
from torch.nn import functional as F


@MODELS.register_module()
class DayNightDiscriminator(BaseModule):
    """Five 4x4 convolutions with bias: two of stride 2, three of stride 1; LeakyReLU 0.2 between them, none at the end.

    Wu et al., DANNet, CVPR 2021, released code, whose parameter names it has. One of them tells target days from source
    days, one target nights. First weights are torch's. At the defaults 1,728,193 parameters; 125 x 125 outputs for a
    map of 512 x 512.

    Args:
        in_channels (int): Classes of the softmax that it reads. Defaults to 19.
        base_channels (int): Channels of the first layer. Defaults to 64.
        init_cfg (dict, optional): Initialisation. Defaults to None, torch's.
    """

    def __init__(
        self, in_channels: int = 19, base_channels: int = 64, init_cfg: OptMultiConfig = None
    ) -> None:
        super().__init__(init_cfg)
        c = base_channels
        self.conv1 = nn.Conv2d(in_channels, c, 4, 2, 1)
        self.conv2 = nn.Conv2d(c, 2 * c, 4, 2, 1)
        self.conv3 = nn.Conv2d(2 * c, 4 * c, 4, 1, 1)
        self.conv4 = nn.Conv2d(4 * c, 4 * c, 4, 1, 1)
        self.classifier = nn.Conv2d(4 * c, 1, 4, 1, 1)
        self.in_channels = in_channels

    def forward(self, probabilities: Tensor) -> Tensor:
        """Scores of the places of a map: 0 stands for the source, 1 for the target.

        Args:
            probabilities (Tensor): Softmax over classes at image size, ``(B, K, H, W)``.

        Returns:
            Tensor: ``(B, 1, h, w)``, about a quarter of the size, without an upper or lower bound.
        """
        x = probabilities
        for conv in (self.conv1, self.conv2, self.conv3, self.conv4):
            x = F.leaky_relu(conv(x), 0.2, inplace=True)
        return self.classifier(x)
