"""A small model that is adapted by its outputs, and what is tested of every such method."""

from __future__ import annotations

import copy
from typing import Any

import torch
from domain_batch import domain_batch
from mmengine.config import ConfigDict
from mmengine.registry import init_default_scope
from mmseg.registry import MODELS
from torch import Tensor, nn

import mmseg_ccdistill  # noqa: F401

NORM = dict(type='BN')
MODEL: dict[str, Any] = dict(
    type='AdaptSegNetSegmentor',
    data_preprocessor=dict(
        type='CrossDomainPreprocessor', mean=[127.5] * 3, std=[60.0] * 3, size=(64, 64)
    ),
    segmentor=dict(
        type='EncoderDecoder',
        backbone=dict(type='ResNet', depth=18, base_channels=4, stem_channels=4, norm_cfg=NORM),
        decode_head=dict(
            type='FCNHead', in_channels=32, in_index=3, channels=8, num_convs=1, dropout_ratio=0.1,
            concat_input=False, num_classes=19, norm_cfg=NORM,
            loss_decode=dict(type='WeightedCrossEntropyLoss'),
        ),
        train_cfg=dict(),
        test_cfg=dict(mode='whole'),
    ),
    discriminator=dict(type='OutputDiscriminator'),
)  # fmt: skip
OPTIM = dict(
    constructor='JointOptimWrapperConstructor',
    optimizer=dict(
        night=dict(type='SGD', lr=1e-2, momentum=0.9),
        discriminators=dict(type='Adam', lr=1e-4, betas=(0.9, 0.99)),
    ),
)


#: An auxiliary head on the third stage.
AUXILIARY_HEAD = dict(
    type='FCNHead', in_channels=16, in_index=2, channels=16, num_convs=0, dropout_ratio=0.1,
    concat_input=False, num_classes=19, norm_cfg=NORM,
    loss_decode=dict(type='WeightedCrossEntropyLoss', loss_weight=0.1),
)  # fmt: skip
#: What makes two levels of one.
TWO_LEVELS: dict[str, Any] = dict(
    segmentor={**MODEL['segmentor'], 'auxiliary_head': AUXILIARY_HEAD},
    auxiliary_weight=0.0002,
)


def build(**changes: Any) -> Any:
    """The model with other settings, from seed 0; a setting of None is left out."""
    init_default_scope('mmseg')
    torch.manual_seed(0)
    whole = copy.deepcopy({**MODEL, **changes})
    config = ConfigDict({key: value for key, value in whole.items() if value is not None})
    model = MODELS.build(config)
    model.init_weights()
    return model


def batch(seed: int = 1, source: str = 'source_day') -> dict[str, Any]:
    """The source with labels and T_n."""
    whole = domain_batch(seed=seed)
    domains = (source, 'target_night')
    return {key: {d: whole[key][d] for d in domains} for key in whole}


def losses_of(model: nn.Module, data: dict[str, Any]) -> dict[str, Tensor]:
    """Losses of a batch."""
    return model(**model.data_preprocessor(data, True), mode='loss')


def parts_trained(model: Any, term: Tensor) -> set[str]:
    """Names of the parts that a term gives a gradient that is not zero: stages, heads, discriminators."""
    model.zero_grad()
    term.backward(retain_graph=True)
    parts = dict(
        layer3=model.night.backbone.layer3,
        layer4=model.night.backbone.layer4,
        head=model.night.decode_head,
    )
    if model.night.with_auxiliary_head:
        parts['aux'] = model.night.auxiliary_head
    for level, net in getattr(model, 'discriminators', {}).items():
        parts[f'discriminator {level}'] = net
    return {
        name
        for name, part in parts.items()
        if any(p.grad is not None and bool(p.grad.any()) for p in part.parameters())
    }
