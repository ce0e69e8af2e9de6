"""A segmentor that sees images in the light of a relighting network."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mmseg.models.segmentors import EncoderDecoder
from mmseg.registry import MODELS
from mmseg.utils import ConfigType
from torch import Tensor

from ..component_building import build_apart
from ..relighting.light_net import relight


@MODELS.register_module()
class RelitEncoderDecoder(EncoderDecoder):
    """``EncoderDecoder`` on x' = x + G(x): the relighting network G is part of training, prediction and export.

    The rest keeps its names, so weights of the ``EncoderDecoder`` without G load; a run that starts from them begins
    with G at random. G is drawn apart: it leaves the initial weights of the rest as they are without it.

    With ``test_cfg.mode='slide'`` the whole image is relit, and then cut into windows.

    Args:
        light_net (dict): Config of G, ``LightNet``.
        **kwargs: Of ``EncoderDecoder``.
    """

    def __init__(self, light_net: ConfigType, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.light_net = build_apart(light_net)
        self._relights = True

    def relight(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Images x' in their new light and r = x' - x, each ``(B, 3, H, W)``, for normalised images x."""
        return relight(self.light_net, images)

    def extract_feat(self, inputs: Tensor) -> Sequence[Tensor]:
        """Features of images ``(B, 3, H, W)`` in their new light."""
        return super().extract_feat(self.relight(inputs)[0] if self._relights else inputs)

    def slide_inference(self, inputs: Tensor, batch_img_metas: list[dict]) -> Tensor:
        """Logits ``(B, K, H, W)`` from windows of images that were relit as a whole.

        Args:
            inputs (Tensor): Normalised images, ``(B, 3, H, W)``.
            batch_img_metas (list[dict]): See ``EncoderDecoder``.
        """
        relit, _ = self.relight(inputs)
        self._relights = False
        try:
            return super().slide_inference(relit, batch_img_metas)
        finally:
            self._relights = True
