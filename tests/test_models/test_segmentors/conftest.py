"""A full CCDistill model of small widths, and batches as CrossDomainDataset makes them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from mmengine.config import ConfigDict
from mmengine.registry import init_default_scope
from mmengine.structures import PixelData
from mmseg.registry import MODELS
from mmseg.structures import SegDataSample

import mmseg_ccdistill  # noqa: F401
from mmseg_ccdistill.domains import DOMAINS

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


@pytest.fixture
def build() -> Callable[..., torch.nn.Module]:
    """Builds and initialises the small model with overrides; seeded."""

    def make(**overrides: Any) -> torch.nn.Module:
        init_default_scope('mmseg')
        torch.manual_seed(0)
        model = MODELS.build(ConfigDict(small_model(**overrides)))
        model.init_weights()
        return model

    return make


@pytest.fixture
def batch() -> dict[str, Any]:
    """Two samples per domain, uint8 BGR; labels on the source domains only."""
    generator = torch.Generator().manual_seed(1)
    inputs: dict[str, Any] = {}
    samples: dict[str, Any] = {}
    labels = [torch.randint(0, 19, (1, SIDE, SIDE), generator=generator) for _ in range(2)]
    for domain in DOMAINS:
        inputs[domain] = [
            torch.randint(0, 256, (3, SIDE, SIDE), generator=generator, dtype=torch.uint8)
            for _ in range(2)
        ]
        samples[domain] = []
        for label in labels:
            sample = SegDataSample()
            if domain.startswith('source'):
                sample.gt_sem_seg = PixelData(data=label.clone())
            samples[domain].append(sample)
    return {'inputs': inputs, 'data_samples': samples}


@pytest.fixture
def segmentor_config() -> dict[str, Any]:
    """Config of the plain small segmentor."""
    return small_segmentor()


@pytest.fixture
def model_config() -> dict[str, Any]:
    """Config of the small model, for a test that builds it without initialising it."""
    init_default_scope('mmseg')
    return small_model()
