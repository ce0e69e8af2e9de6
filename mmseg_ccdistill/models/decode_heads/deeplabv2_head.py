"""Classifier of DeepLab-v2 (Chen et al., TPAMI 2018), the paper's other baseline."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mmseg.models.decode_heads.decode_head import BaseDecodeHead
from mmseg.registry import MODELS
from torch import Tensor, nn

from ...errors import UserInputError


class DilatedClassifier(nn.Module):
    """Sum of parallel 3x3 convolutions of several dilations, from features to logits.

    Args:
        in_channels (int): Channels of the feature map.
        out_channels (int): Channels of the logits.
        dilations (Sequence[int]): One branch each; the padding is the dilation.
        num_active (int): How many branches, from the first on, are summed. The others keep their
            parameters, frozen.
    """

    def __init__(
        self, in_channels: int, out_channels: int, dilations: Sequence[int], num_active: int
    ) -> None:
        super().__init__()
        self.in_channels = in_channels
        self.num_active = num_active
        self.branches = nn.ModuleList(
            [
                nn.Conv2d(in_channels, out_channels, 3, padding=dilation, dilation=dilation)
                for dilation in dilations
            ]
        )
        self.branches[num_active:].requires_grad_(False)

    def forward(self, x: Tensor) -> Tensor:
        """``(B, in_channels, H, W)`` to ``(B, out_channels, H, W)``."""
        logits = self.branches[0](x)
        for branch in list(self.branches)[1 : self.num_active]:
            logits = logits + branch(x)
        return logits


@MODELS.register_module()
class DeepLabV2Head(BaseDecodeHead):
    """DeepLab-v2: four dilated 3x3 classifiers on the last backbone map, summed (ASPP-L).

    There is no hidden layer: each branch goes from the backbone's channels to the classes, and the
    initial weights are drawn from N(0, 0.01), biases zero. On 2048 channels and 19 classes 1,400,908
    parameters.

    The code published with AdaptSegNet and DANNet returns inside its loop over the branches, so
    its weights were trained with the sum of the first two; ``num_active=2`` reproduces them. The
    default is the published method.

    Args:
        in_channels (int): Channels of the backbone map. Defaults to 2048.
        dilations (Sequence[int]): Dilations of the branches. Defaults to (6, 12, 18, 24).
        num_active (int, optional): How many branches are summed, from the first on. The others are
            kept, frozen, so that released weights load. Defaults to None, all.
        dropout_ratio (float): Dropout probability before the classifier. Defaults to 0, as in the
            released networks.
        align_corners (bool): See ``F.interpolate``. Defaults to True.
        **kwargs: See mmseg's ``BaseDecodeHead``; ``num_classes`` is required, ``channels`` is not an
            argument.

    Raises:
        UserInputError: If ``in_channels`` lists several maps, or ``num_active`` is not in
            ``1..len(dilations)``.
    """

    def __init__(
        self,
        in_channels: int = 2048,
        *,
        dilations: Sequence[int] = (6, 12, 18, 24),
        num_active: int | None = None,
        dropout_ratio: float = 0.0,
        align_corners: bool = True,
        **kwargs: Any,
    ) -> None:
        if not isinstance(in_channels, int):
            raise UserInputError(
                'DeepLabV2Head: in_channels must be the width of one backbone map, '
                f'got {in_channels!r}.'
            )
        num_active = len(dilations) if num_active is None else num_active
        if not 1 <= num_active <= len(dilations):
            raise UserInputError(
                f'DeepLabV2Head: num_active must be from 1 to {len(dilations)}, got {num_active}.'
            )
        super().__init__(
            in_channels,
            in_channels,
            dropout_ratio=dropout_ratio,
            align_corners=align_corners,
            **kwargs,
        )
        # The base class makes a 1x1 classifier.
        self.conv_seg = DilatedClassifier(in_channels, self.out_channels, dilations, num_active)

    def _forward_feature(self, inputs: Sequence[Tensor]) -> Tensor:
        """Last feature map before the classifier: the backbone's.

        Args:
            inputs (Sequence[Tensor]): Backbone maps.

        Returns:
            Tensor: ``(B, in_channels, H, W)``.
        """
        return self._transform_inputs(inputs)

    def forward(self, inputs: Sequence[Tensor]) -> Tensor:
        """Logits at the size of the last map.

        Args:
            inputs (Sequence[Tensor]): Backbone maps.

        Returns:
            Tensor: ``(B, out_channels, H, W)``.
        """
        return self.cls_seg(self._forward_feature(inputs))
