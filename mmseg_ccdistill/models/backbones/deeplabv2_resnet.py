"""ResNet of DeepLab-v2 (Chen et al., TPAMI 2018)."""

from __future__ import annotations

from mmseg.models.backbones import ResNet
from mmseg.registry import MODELS


@MODELS.register_module()
class DeepLabV2ResNet(ResNet):
    """mmseg's ``ResNet`` with a stem pooling that rounds up.

    The released networks pool with ``ceil_mode``: a 512 px crop gives maps of 65x65 at stride 8, not
    64x64. Strides and dilations are arguments; those of the network are ``strides=(1, 2, 1, 1)``,
    ``dilations=(1, 1, 2, 4)``, ``contract_dilation=False``. The released weights stride in the first
    1x1 convolution (``style='caffe'``), torchvision's ImageNet weights in the 3x3
    (``style='pytorch'``). Parameters and their names are those of ``ResNet``.

    Args:
        **kwargs: See mmseg's ``ResNet``; ``depth`` is required.
    """

    def _make_stem_layer(self, in_channels: int, stem_channels: int) -> None:
        super()._make_stem_layer(in_channels, stem_channels)
        self.maxpool.ceil_mode = True
