"""The small network of mini night and random batches for it."""

from __future__ import annotations

from typing import Any

import torch
from mmengine.config import Config

from benchmarks.gpu.batches import make_batches
from benchmarks.gpu.settings import Settings
from benchmarks.gpu.training import Mode, Training, load_config
from benchmarks.performance.sizes import Sizes

SMALL = 'ccdistill/refinenet_small_mini_day2night.py'


def small_config(sizes: Sizes) -> Config:
    """CCDistill with the small RefineNet, narrow in a rehearsal, for crops of the run's size."""
    config = load_config(SMALL, settings_of(sizes))
    config.model.data_preprocessor.size = (sizes.crop, sizes.crop)
    return config


def settings_of(sizes: Sizes) -> Settings:
    """The sizes as the training of the GPU benchmark takes them, on the CPU."""
    return Settings(torch.device('cpu'), tiny=sizes.tiny, side=sizes.crop)


def small_training(sizes: Sizes, hooks: bool = True) -> Training:
    """Steps of the small network, as the runner takes them."""
    batches: list[dict[str, Any]] = make_batches(sizes.crop, 2)
    return Training(settings_of(sizes), small_config(sizes), Mode(hooks=hooks), batches=batches)
