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
from self_training_model import with_draws
from small_ccdistill import SIDE, small_model, small_segmentor

import mmseg_ccdistill  # noqa: F401
from mmseg_ccdistill.domains import DOMAINS


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


@pytest.fixture
def drawn(batch: dict[str, Any]) -> dict[str, Any]:
    """The batch with the random numbers that self-training mixes with."""
    return with_draws(batch)
