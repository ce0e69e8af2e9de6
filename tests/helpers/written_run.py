"""Work dirs as a training leaves them: a config, scalars.json, the head of a log."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

LOG = """2026/01/02 03:04:05 - mmengine - INFO -
------------------------------------------------------------
System environment:
    sys.platform: linux
    Python: 3.11.7 (main)
    PyTorch: 2.13.0
    PyTorch compiling details: PyTorch built with:
  - GCC 13.3

Runtime environment:
    cudnn_benchmark: True
    seed: 7
------------------------------------------------------------

2026/01/02 03:04:06 - mmengine - INFO - Config:
    not: environment
"""
CONFIG = """
randomness = dict(seed={seed})
train_cfg = dict(max_iters=4)
optim_wrapper = dict(optimizer=dict(lr={lr}, type='SGD'))
param_scheduler = [dict(end=4, type='PolyLR')]
load_from = 'source.pth'
work_dir = 'anywhere'
"""
ROWS = (
    {
        'loss': 4.0,
        'decode.loss_seg': 4.0,
        'cor.in_day_mean': 0.5,
        'pseudo.share': 0.9,
        'lr': 0.01,
        'time': 2.0,
        'data_time': 0.5,
        'memory': 900,
        'step': 2,
    },
    {
        'loss': float('nan'),
        'decode.loss_seg': 3.0,
        'cor.in_day_mean': 0.6,
        'pseudo.share': 0.8,
        'lr': 0.001,
        'time': 2.0,
        'data_time': 0.5,
        'memory': 1000,
        'step': 4,
    },
)


def write_run(
    folder: Path, seed: int = 7, lr: float = 0.01, miou: float | None = 30.0, name: str = 'small'
) -> Path:
    """Write a work dir of four iterations, without a checkpoint.

    Args:
        folder: It; made.
        seed: Random seed of its config.
        lr: Learning rate of its config.
        miou: Of the validation at its end; None for none.
        name: Of its config.
    """
    rows: list[dict[str, Any]] = [*ROWS]
    if miou is not None:
        rows.append({'aAcc': 60.0, 'mIoU': miou, 'time': 0.1, 'data_time': 0.01, 'step': 4})
    text = CONFIG.format(seed=seed, lr=lr)
    write_start(folder, '20260102_030405', text, rows)
    (folder / f'{name}.py').write_text(text)
    return folder


def write_start(folder: Path, start: str, config: str, rows: Sequence[dict[str, Any]]) -> None:
    """Write what one start of a training leaves.

    Args:
        folder: Work dir; made.
        start: Name of the start, ``DATE_TIME``.
        config: Text of the config.
        rows: What it logged.
    """
    logged = folder / start / 'vis_data'
    logged.mkdir(parents=True)
    (logged / 'config.py').write_text(config)
    (logged / 'scalars.json').write_text('\n'.join(map(json.dumps, rows)) + '\n')
    (logged.parent / f'{start}.log').write_text(LOG)


def write_scores(folder: Path) -> None:
    """Write scores of one set into a run: a class that is there, one that is absent, one predicted and absent.

    Args:
        folder: Work dir.
    """
    classes = {
        'road': dict(IoU=50.0, Acc=60.0, label_pixels=1200, predicted_pixels=1000),
        'train': dict(IoU=None, Acc=None, label_pixels=0, predicted_pixels=0),
        'bus': dict(IoU=0.0, Acc=None, label_pixels=0, predicted_pixels=30),
    }
    images = [dict(image=f'{k}.png', mIoU=100.0 - k) for k in range(25)]
    images.append(dict(image='empty.png', mIoU=None))
    entry = dict(
        set='DZ-val (26 of 50)',
        name='DZ-val',
        summary=dict(mIoU=25.0, aAcc=None),
        classes=classes,
        notes=['Absent: train.'],
        per_image=images,
    )
    (folder / 'night.json').write_text(json.dumps(dict(sets=[entry], checkpoint='iter_4.pth')))
