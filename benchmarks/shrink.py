"""A shipped config with narrow layers: the same types, losses and recipe, and a step at 64 px in less than a second."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import torch
from mmengine.config import Config, ConfigDict
from mmengine.registry import init_default_scope
from mmseg.registry import MODELS

import mmseg_ccdistill  # noqa: F401

SIDE = 64


def _shrink_resnet(backbone: ConfigDict) -> None:
    backbone.depth = 50 if backbone.depth > 50 else backbone.depth
    backbone.base_channels = backbone.stem_channels = 4


def _shrink_mit(backbone: ConfigDict) -> None:
    backbone.embed_dims = 8
    backbone.num_layers = [1] * len(backbone.num_layers)


def _shrink_swin(backbone: ConfigDict) -> None:
    backbone.embed_dims = 4 * backbone.num_heads[0]  # each head needs a whole number of channels
    backbone.depths = [2] * len(backbone.depths)  # one plain and one shifted window


def _shrink_rein_vit(backbone: ConfigDict) -> None:
    backbone.update(embed_dims=16, num_layers=2, num_heads=2, img_size=SIDE, num_tokens=5, rank=2)


def _shrink_rein_dinov3(backbone: ConfigDict) -> None:
    backbone.update(embed_dims=16, num_layers=2, num_heads=2, num_tokens=5, rank=2)


def _shrink_lite(backbone: ConfigDict) -> None:
    backbone.pretrained = False  # the library has one width, which is small


BACKBONES = {
    'ResNet': _shrink_resnet,
    'ResNetV1c': _shrink_resnet,
    'DeepLabV2ResNet': _shrink_resnet,
    'MixVisionTransformer': _shrink_mit,
    'SwinTransformer': _shrink_swin,
    'ReinVisionTransformer': _shrink_rein_vit,
    'ReinDINOv3': _shrink_rein_dinov3,
    'EfficientNetLite': _shrink_lite,
}


def _backbone_widths(backbone: ConfigDict) -> list[int]:
    """Channels of the maps that a backbone returns."""
    init_default_scope('mmseg')
    model = MODELS.build(copy.deepcopy(backbone))
    model.eval()  # returns nothing in some backbones
    with torch.no_grad():
        return [m.shape[1] for m in model(torch.zeros(1, 3, SIDE, SIDE))]


def _shrink_head(head: ConfigDict, widths: list[int]) -> None:
    index = head.get('in_index', -1)
    head.in_channels = (
        [widths[i] for i in index] if isinstance(index, (list, tuple)) else widths[index]
    )
    if 'channels' in head:
        head.channels = 8
    if head.get('block_channels') is not None:
        head.block_channels = [16] + [8] * (len(head.block_channels) - 1)


def _head_channels(head: ConfigDict) -> int:
    """Channels of a head's last map; those of the backbone if it has no layer of its own."""
    if head.type == 'PerPixelHead':
        return head.in_channels // 4
    return head.get('channels', head.in_channels)


def shrink_segmentor(segmentor: ConfigDict) -> list[int]:
    """Narrow an ``EncoderDecoder`` config in place.

    Args:
        segmentor (ConfigDict): Changed in place; pretrained weights are dropped.

    Returns:
        list[int]: Channels of its backbone's maps.

    Raises:
        KeyError: If the backbone's type is not known here.
    """
    backbone = segmentor.backbone
    BACKBONES[backbone.type](backbone)
    backbone.pop('init_cfg', None)
    widths = _backbone_widths(backbone)
    auxiliary: Any = segmentor.get('auxiliary_head') or []
    for head in [
        segmentor.decode_head,
        *(auxiliary if isinstance(auxiliary, (list, tuple)) else [auxiliary]),
    ]:
        _shrink_head(head, widths)
    return widths


def _shrink_dannet(model: ConfigDict, crop: Sequence[int]) -> None:
    """Narrow the parts of DANNet, and make its large maps smaller by as much as the images."""
    if model.get('target_size') is not None:
        model.target_size = [n * SIDE // m for n, m in zip(model.target_size, crop, strict=True)]
    for part in (model.segmentor.get('light_net'), model.get('discriminator')):
        if part is not None and part.type in ('LightNet', 'DayNightDiscriminator'):
            part.base_channels = 4


def shrink(cfg: Config) -> Config:
    """A copy of a config whose model is narrow and takes images of 64 px.

    Args:
        cfg (Config): A CCDistill config, or a source-only one (its model is an ``EncoderDecoder``).

    Returns:
        Config: With ``load_from=None``; losses, optimizer, schedule and data are those of ``cfg``.
    """
    cfg = copy.deepcopy(cfg)
    model = cfg.model
    crop = model.data_preprocessor.size
    model.data_preprocessor.size = (SIDE, SIDE)
    cfg.load_from = None
    if 'segmentor' not in model:
        shrink_segmentor(model)
        return cfg
    widths = shrink_segmentor(model.segmentor)
    _shrink_dannet(model, crop)
    head = model.get('projection_head')
    if head is not None:
        feature = model.get('feature', 'backbone.-1')
        head.in_channels = (
            _head_channels(model.segmentor.decode_head)
            if feature == 'decode_head'
            else widths[int(feature.split('.')[1])]
        )
        head.out_channels = 16
    return cfg
