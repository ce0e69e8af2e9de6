"""DANNet and the curricula at the size of the paper: RefineNet-R101, 2048 x 1024 and 1920 x 1080 images, two processes.

A run that goes on from its first iteration ends with the weights of one that was never stopped, bit for bit.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from layouts import make_cityscapes, make_dark_zurich
from meeting_port import meeting_port
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmseg.registry import MODELS

ROOT = Path(__file__).resolve().parents[1]
SOURCE = 'work_dirs/refinenet/refinenet_r101_cityscapes/iter_40000.pth'
LENGTH = {
    'train_cfg.max_iters': 2,
    'train_cfg.val_interval': 100,
    'default_hooks.checkpoint.interval': 1,
    'default_hooks.checkpoint.save_optimizer': True,
    'default_hooks.logger.interval': 1,
    'train_dataloader.batch_size': 1,
    'train_dataloader.num_workers': 0,
    'train_dataloader.persistent_workers': False,
}

pytestmark = [pytest.mark.slow, pytest.mark.timeout(3600)]


@pytest.fixture(scope='module')
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A working directory with both data sets and a source-only checkpoint."""
    folder = tmp_path_factory.mktemp('full_size')
    (folder / 'configs').symlink_to(ROOT / 'configs')
    make_cityscapes(folder / 'data/cityscapes', dict(train=2), (2048, 1024), with_train_ids=True)
    make_dark_zurich(folder / 'data/dark_zurich', (1920, 1080), pair_list=True)
    init_default_scope('mmseg')
    torch.manual_seed(0)
    config = Config.fromfile(str(ROOT / 'configs/refinenet/refinenet_r101_cityscapes.py'))
    config.model.backbone.init_cfg = None
    model = MODELS.build(config.model)
    model.init_weights()
    (folder / SOURCE).parent.mkdir(parents=True)
    torch.save({'state_dict': model.state_dict(), 'meta': {}}, folder / SOURCE)
    return folder


def run(place: Path, *command: str | Path) -> str:
    """Run a program in two processes, of one thread each unless OMP_NUM_THREADS says more; its output."""
    env = dict(
        os.environ,
        OMP_NUM_THREADS=os.environ.get('OMP_NUM_THREADS', '1'),
        PYTHON=sys.executable,
        PORT=str(meeting_port()),
    )
    options = [f'{key}={value}' for key, value in LENGTH.items()]
    words = [*map(str, command), '--cfg-options', *options]
    done = subprocess.run(words, cwd=place, env=env, capture_output=True, text=True, timeout=3500)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return done.stdout


def stop_after_first(training: Path) -> None:
    """Leave of a training what there was after its first iteration."""
    (training / 'iter_2.pth').unlink()
    (training / 'last_checkpoint').write_text(str(training / 'iter_1.pth'))


def check_whole(training: Path) -> dict[str, torch.Tensor]:
    """The weights after both iterations, whose terms were finite."""
    rows = [
        json.loads(line)
        for path in training.glob('*/vis_data/scalars.json')
        for line in path.read_text().splitlines()
    ]
    assert rows and all(np.isfinite(row['loss']) for row in rows if 'loss' in row)
    weights = torch.load(training / 'iter_2.pth', weights_only=False)['state_dict']
    first = torch.load(training / 'iter_1.pth', weights_only=False)['state_dict']
    assert any(not torch.equal(value, first[name]) for name, value in weights.items())
    return weights


def check_equal(found: dict[str, torch.Tensor], expected: dict[str, torch.Tensor]) -> None:
    assert found.keys() == expected.keys()
    assert [name for name, value in found.items() if not torch.equal(value, expected[name])] == []


def test_dannet(place: Path) -> None:
    command = [ROOT / 'tools/dist_train.sh', 'configs/dannet/refinenet_r101_cs2dz.py', '2']
    run(place, *command, '--work-dir', 'whole')
    weights = check_whole(place / 'whole')
    shutil.copytree(place / 'whole', place / 'stopped')
    stop_after_first(place / 'stopped')
    run(place, *command, '--work-dir', 'stopped', '--resume')
    check_equal(check_whole(place / 'stopped'), weights)


@pytest.mark.parametrize(
    ('config', 'trainings', 'labellings'),
    [
        ('dmada', ['twilight', 'night'], ['twilight_labels', 'new_twilight_labels', 'night_labels']),
        ('gcma', ['day', 'twilight'], ['day_labels', 'twilight_labels']),
        ('mgcda', ['day', 'twilight'], ['day_labels', 'twilight_labels']),
    ],
)  # fmt: skip
def test_curriculum(place: Path, config: str, trainings: list[str], labellings: list[str]) -> None:
    work = place / f'work_dirs/{config}/refinenet_r101_cs2dz'
    path = f'configs/{config}/refinenet_r101_cs2dz.py'
    command = [sys.executable, ROOT / 'tools/curriculum.py', path, '--gpus', '2']
    out = run(place, *command)
    done = [line.split()[1].rstrip(':') for line in out.splitlines() if ': done in' in line]
    assert done == [stage['name'] for stage in Config.fromfile(str(ROOT / path)).curriculum]
    weights = {name: check_whole(work / name) for name in trainings}
    labels = {name: _files(work / name) for name in labellings}
    assert all(labels.values())
    last = trainings[-1]
    stop_after_first(work / last)
    record = work / f'{last}.json'
    record.write_text(json.dumps({**json.loads(record.read_text()), 'done': False}))
    assert run(place, *command).count(': done before') == len(trainings) + len(labellings) - 1
    check_equal(check_whole(work / last), weights[last])
    assert {name: _files(work / name) for name in labellings} == labels


def _files(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob('*.png'))}
