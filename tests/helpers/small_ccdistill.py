"""Configs of a full CCDistill model of small widths."""

from __future__ import annotations

from typing import Any

SIDE = 64


def small_segmentor(**head: Any) -> dict[str, Any]:
    return dict(
        type='EncoderDecoder',
        backbone=dict(
            type='ResNet',
            depth=18,
            base_channels=8,
            stem_channels=8,
            style='pytorch',
            norm_cfg=dict(type='BN'),
        ),
        decode_head=dict(
            type='RefineNetHead',
            in_channels=[8, 16, 32, 64],
            in_index=[0, 1, 2, 3],
            channels=8,
            block_channels=(16, 8, 8, 8),
            num_classes=19,
            loss_decode=dict(type='WeightedCrossEntropyLoss', class_weight='balanced'),
            **head,
        ),
        train_cfg=dict(),
        test_cfg=dict(mode='whole'),
    )


def small_model(**overrides: Any) -> dict[str, Any]:
    config = dict(
        type='CCDistillSegmentor',
        data_preprocessor=dict(
            type='CrossDomainPreprocessor',
            mean=[127.5] * 3,
            std=[60.0] * 3,
            bgr_to_rgb=True,
            size=(SIDE, SIDE),
        ),
        segmentor=small_segmentor(),
        projection_head=dict(type='ProjectionHead', in_channels=64, out_channels=16),
        loss_cdc=dict(type='CDCLoss'),
        loss_cds=dict(type='CDSLoss'),
        loss_pseudo=dict(type='StaticLoss'),
    )
    config.update(overrides)
    return config
