"""A source-only run on images of 64 x 48 with the whole shipped runtime, and calls of the tools."""

from __future__ import annotations

import multiprocessing
import os
import re
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from meeting_port import meeting_port
from mmengine.config import Config
from mmengine.logging import MessageHub, MMLogger
from mmseg.visualization import SegLocalVisualizer
from tool_project import load_tool, run_tool

ROOT = Path(__file__).resolve().parents[2]
HERE = Path(__file__).resolve().parent

_CONFIG = """
_base_ = [{base!r}]
custom_imports = dict(imports=['mmseg_ccdistill', 'provoke'], allow_failed_imports=False)
data = dict(
    type='CityscapesDataset',
    data_root={root!r},
    data_prefix=dict(img_path='images', seg_map_path='labels'),
    img_suffix='.png',
    seg_map_suffix='.png',
)
loading = [dict(type='LoadImageFromFile'), dict(type='LoadAnnotations')]
train_dataloader = dict(
    batch_size=2,
    num_workers=0,
    sampler=dict(type='DrawSampler'),
    dataset=dict(
        type='DrawnDataset',
        dataset=dict(
            data, pipeline=[*loading, dict(type='RandomFlip', prob=0.5), dict(type='PackSegInputs')]
        ),
    ),
)
val_dataloader = dict(
    batch_size=1,
    num_workers=0,
    sampler=dict(type='DefaultSampler', shuffle=False),
    # not image 2: a test may destroy it for the training alone
    dataset=dict(data, indices=[0, 1, 3, 4, 5], pipeline=[*loading, dict(type='PackSegInputs')]),
)
test_dataloader = val_dataloader
val_evaluator = dict(type='IoUMetric', iou_metrics=['mIoU'])
test_evaluator = val_evaluator
norm = dict(type='BN')
model = dict(
    type='EncoderDecoder',
    data_preprocessor=dict(
        type='SegDataPreProcessor', mean=[0.0] * 3, std=[255.0] * 3, size=(48, 64)
    ),
    backbone=dict(type='ResNet', depth=18, base_channels=4, stem_channels=4, norm_cfg=norm),
    decode_head=dict(
        type='FCNHead', in_channels=32, in_index=3, channels=8, num_convs=1, dropout_ratio=0.1,
        concat_input=False, num_classes=19, norm_cfg=norm,
        loss_decode=dict(type='WeightedCrossEntropyLoss'),
    ),
    train_cfg=dict(),
    test_cfg=dict(mode='whole'),
)
param_scheduler = [dict(type='PolyLR', power=0.9, begin=0, end=6, by_epoch=False)]
optim_wrapper = dict(type='OptimWrapper', optimizer=dict(type='SGD', lr=0.01, momentum=0.9))
train_cfg = dict(type='IterBasedTrainLoop', max_iters=6, val_interval=100)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')
default_hooks = dict(checkpoint=dict(interval=100))
custom_hooks = [dict(type='Provoke', {provoke})]
"""


def make_run(root: Path, images: int = 6) -> Path:
    """Write images, labels and ``tiny.py``.

    Args:
        root: Empty folder.
        images: Number of labelled images, at least 6; training and validation share them.

    Returns:
        The folder.
    """
    generator = np.random.default_rng(0)
    for name, shape, high in (('images', (48, 64, 3), 256), ('labels', (48, 64), 19)):
        (root / 'data' / name).mkdir(parents=True)
        for index in range(images):
            image = generator.integers(0, high, shape, dtype=np.uint8)
            cv2.imwrite(str(root / 'data' / name / f'{index}.png'), image)
    write_config(root)
    return root


def write_config(root: Path, **provoke: object) -> None:
    """Write ``tiny.py``.

    Args:
        root: Folder of the run.
        **provoke: Arguments of the hook ``Provoke``.
    """
    base = str(ROOT / 'configs' / '_base_' / 'default_runtime.py')
    text = ', '.join(f'{key}={value!r}' for key, value in provoke.items())
    config = _CONFIG.format(base=base, root=str(root / 'data'), provoke=text)
    (root / 'tiny.py').write_text(config)


def train(monkeypatch: pytest.MonkeyPatch, *options: str, work_dir: str = 'run') -> int:
    """Run tools/train.py in this process and in the working directory.

    Args:
        monkeypatch: Of the test.
        *options: More arguments.
        work_dir: Folder of the run.

    Returns:
        Exit code.
    """
    return _run('train', monkeypatch, 'tiny.py', '--work-dir', work_dir, *options)


def _run(name: str, monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    # mmengine keeps one for the life of a process, and runs of one second share their logger's name
    for kept in (SegLocalVisualizer, MMLogger, MessageHub):
        kept._instance_dict.clear()
    return run_tool(load_tool(f'tools/{name}.py'), monkeypatch, *arguments)


def test(monkeypatch: pytest.MonkeyPatch, checkpoint: str, *options: str) -> int:
    """Run tools/test.py in this process and in the working directory.

    Args:
        monkeypatch: Of the test.
        checkpoint: Checkpoint file.
        *options: More arguments.

    Returns:
        Exit code.
    """
    return _run('test', monkeypatch, 'tiny.py', checkpoint, '--work-dir', 'tested', *options)


test.__test__ = False  # type: ignore[attr-defined]  # a tool, not a test


def end_workers() -> None:
    """End the data workers that a failed run has left: collected with it, each takes five seconds."""
    for worker in multiprocessing.active_children():
        worker.terminate()
        worker.join()


def start(folder: Path, processes: int = 1, **environment: str) -> subprocess.Popen[str]:
    """Start tools/train.py, or tools/dist_train.sh for several processes, in a session of its own.

    Args:
        folder: Folder of ``tiny.py``.
        processes: Number of processes.
        **environment: More variables.

    Returns:
        The process; its output streams are pipes.
    """
    env = {name: value for name, value in os.environ.items() if not name.startswith('TORCHELASTIC')}
    for name in ('RANK', 'WORLD_SIZE', 'LOCAL_RANK', 'LOCAL_WORLD_SIZE'):
        env.pop(name, None)
    path = os.pathsep.join([str(ROOT), str(HERE)])
    env.update(PYTHONPATH=path, OMP_NUM_THREADS='1', CUDA_VISIBLE_DEVICES='', PYTHON=sys.executable)
    env.update(environment)
    command = [sys.executable, str(ROOT / 'tools/train.py'), 'tiny.py', '--work-dir', 'run']
    if processes > 1:
        env['PORT'] = str(meeting_port())
        script = str(ROOT / 'tools' / 'dist_train.sh')
        command = ['bash', script, 'tiny.py', str(processes), '--work-dir', 'run']
    return subprocess.Popen(
        command,
        cwd=folder,
        env=env,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def weights(path: Path) -> dict[str, torch.Tensor]:
    """The tensors of a checkpoint's model.

    Args:
        path: Checkpoint.
    """
    return torch.load(path, map_location='cpu', weights_only=True)['state_dict']


def equal_weights(first: Path, second: Path) -> bool:
    """Tell whether two checkpoints hold the same model bit for bit.

    Args:
        first: A checkpoint.
        second: Another one.
    """
    ours, theirs = weights(first), weights(second)
    return ours.keys() == theirs.keys() and all(torch.equal(ours[k], theirs[k]) for k in ours)


def checkpoints(folder: Path) -> list[str]:
    """Names of the checkpoints of a run, by iteration.

    Args:
        folder: Work dir.
    """
    names = [path.name for path in folder.glob('iter_*.pth')]
    return sorted(names, key=lambda name: int(re.sub(r'\D', '', name)))


def read_config(folder: Path) -> Config:
    """The config of a run.

    Args:
        folder: Folder of ``tiny.py``.
    """
    return Config.fromfile(str(folder / 'tiny.py'))
