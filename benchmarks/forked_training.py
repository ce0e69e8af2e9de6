"""Small trainings of the real recipe, each in a process of its own that starts in no time."""

from __future__ import annotations

import gc
import os
import sys
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from unittest import mock

import cv2
import matplotlib.pyplot  # noqa: F401 - imported once here instead of in every run
import torch
import torch._dynamo  # noqa: F401 - the same
from mmengine.config import Config
from mmengine.runner import Runner

from benchmarks.repository import ROOT
from mmseg_ccdistill.mini_night import write_mini_night
from mmseg_ccdistill.runtime import atomic_file
from mmseg_ccdistill.runtime.checkpoint_file import load_checkpoint_file

CONFIG = ROOT / 'configs/ccdistill/refinenet_small_mini_day2night.py'
ITERATIONS, INTERVAL, KEPT = 8, 2, 2


def make_data(folder: Path) -> Path:
    """Render the frames that every run trains on.

    Args:
        folder: Where to.

    Returns:
        Root of a mini night of 5 source images and 4 pairs.
    """
    return write_mini_night(
        folder / 'data',
        num_source_train=5,
        num_source_val=1,
        num_pairs=4,
        num_target_val=1,
        source_size=(128, 64),
        target_size=(128, 72),
        workers=1,
    )


def run_config(data: Path, work_dir: Path, workers: int = 0) -> Config:
    """The shipped config with narrow layers and small crops.

    Args:
        data: What :func:`make_data` returned.
        work_dir: Folder of the run.
        workers: Processes that load data.

    Returns:
        Config of a run of ``ITERATIONS`` without validation.
    """
    config = Config.fromfile(str(CONFIG))
    model, dataset = config.model, config.train_dataloader.dataset
    model.data_preprocessor.size = (32, 32)
    model.segmentor.backbone.update(base_channels=8, stem_channels=8)
    model.segmentor.decode_head.update(
        in_channels=[8, 16, 32, 64], channels=8, block_channels=(16, 8, 8, 8), dropout_ratio=0.5
    )
    model.projection_head.update(in_channels=64, out_channels=32)
    dataset.source.data_root = str(data / 'cityscapes')
    dataset.target.data_root = str(data / 'dark_zurich')
    for step in [*dataset.source.pipeline, *dataset.target.pipeline]:
        sizes = dict(RandomResize=(128, 64), RandomCrop=(32, 32), Resize=(32, 32))
        if step.type in sizes:
            step['crop_size' if step.type == 'RandomCrop' else 'scale'] = sizes[step.type]
    config.train_dataloader.update(num_workers=workers, persistent_workers=workers > 0)
    config.train_cfg.max_iters = config.param_scheduler[0].end = ITERATIONS
    for key in ('val_cfg', 'val_dataloader', 'val_evaluator'):
        config[key] = None
        config[key.replace('val', 'test', 1)] = None
    config.default_hooks.checkpoint.update(interval=INTERVAL, max_keep_ckpts=KEPT)
    config.default_hooks.logger.interval = 1
    config.default_hooks.pop('progress')
    config.work_dir, config.load_from = str(work_dir), None
    return config


def fork(task: Callable[[], None], log: Path) -> int:
    """Run a task in a copy of this process, whose imports are done already.

    This process must not have computed a gradient before: its threads would be missing in the copy.

    Args:
        task: What to run.
        log: File for its output.

    Returns:
        Process id; the process ends with code 0, or 1 after an exception.
    """
    sys.stdout.flush()
    gc.freeze()  # mmengine collects garbage for every data set: not among all that is imported here
    process = os.fork()
    if process:
        return process
    code = 1
    try:
        os.setsid()  # its data loading processes are killed with it
        output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(output, 1)
        os.dup2(output, 2)
        task()
        code = 0
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def train(config: Config, on_step: Callable[[str], None] | None = None) -> None:
    """Train, or continue, as MMSegmentation's ``train.py --resume`` does.

    Args:
        config: What :func:`run_config` returned.
        on_step: Takes the place of ``atomic_file.fault_point``.
    """
    torch.set_num_threads(1)
    cv2.setNumThreads(0)
    config.resume = True
    with (
        # mmengine formats the whole config for every checkpoint: seconds here, and of no interest.
        mock.patch.object(Config, 'pretty_text', property(lambda cfg: f'# {cfg.work_dir}\n')),
        # It asks compilers and drivers for their versions at each start.
        mock.patch.object(Runner, '_log_env', lambda runner, env_cfg: None),
        mock.patch.object(atomic_file, 'fault_point', on_step or atomic_file.fault_point),
    ):
        Runner.from_cfg(config).train()


def final_state(work_dir: Path) -> dict[str, Any]:
    """What a finished run ends with: weights, optimizer, schedule and the losses of each iteration.

    Args:
        work_dir: Folder of the run.

    Returns:
        The parts of its last checkpoint that a kill must not change.
    """
    saved = load_checkpoint_file(work_dir / f'iter_{ITERATIONS}.pth')
    scalars = saved['message_hub']['log_scalars']
    return {
        **{key: saved[key] for key in ('state_dict', 'optimizer', 'param_schedulers')},
        'losses': {
            key: value['log_history']
            for key, value in scalars.items()
            if 'loss' in key or 'lr' in key
        },
    }


def same(first: Any, second: Any) -> bool:
    """Whether two nested values are equal to the last bit.

    Args:
        first: One value.
        second: The other.
    """
    if isinstance(first, torch.Tensor):
        return first.dtype == second.dtype and torch.equal(first, second)
    if isinstance(first, Mapping):
        return set(first) == set(second) and all(same(first[k], second[k]) for k in first)
    if isinstance(first, list | tuple):
        return len(first) == len(second) and all(map(same, first, second))
    return first == second
