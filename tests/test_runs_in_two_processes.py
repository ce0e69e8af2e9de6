"""Own classes, a moving average, an adversarial method: in two processes they resume to the last bit and test."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from method_config import ITERATIONS, STOP, same, write_config
from mmengine.config import Config
from own_streets import make_streets

from benchmarks.forked_training import make_data
from mmseg_ccdistill.export.branch_export import export_files
from mmseg_ccdistill.runtime.checkpoint_file import load_checkpoint_file

ROOT = Path(__file__).resolve().parents[1]
pytestmark = pytest.mark.slow


def run(folder: Path, script: str, *arguments: object) -> str:
    """Run a tool in two gloo processes.

    Args:
        folder: Working directory.
        script: ``'dist_train'`` or ``'dist_test'``.
        *arguments: Those before and after the number of processes, of which ``2`` is one.

    Returns:
        What it printed.
    """
    with socket.socket() as probe:
        probe.bind(('127.0.0.1', 0))
        port = probe.getsockname()[1]
    env = {k: v for k, v in os.environ.items() if k not in ('RANK', 'WORLD_SIZE', 'LOCAL_RANK')}
    path = os.pathsep.join([str(ROOT), str(ROOT / 'tests/helpers')])
    env.update(PYTHON=sys.executable, PORT=str(port), PYTHONPATH=path, OMP_NUM_THREADS='1')
    env.update(CUDA_VISIBLE_DEVICES='')
    command = ['bash', str(ROOT / f'tools/{script}.sh'), *map(str, arguments)]
    result = subprocess.run(
        command, cwd=folder, env=env, capture_output=True, text=True, timeout=600
    )
    assert result.returncode == 0, result.stderr[-3000:]
    return result.stdout + result.stderr


def five_classes(folder: Path) -> Path:
    """The adaptation of docs/own_classes.md with a few iterations and without a source stage."""
    make_streets(folder)
    config = Config.fromfile(str(folder / 'configs/my_streets.py'))
    config.load_from = None
    config.train_cfg.max_iters = ITERATIONS
    config.param_scheduler[-1].end = ITERATIONS
    config.val_cfg = config.val_dataloader = config.val_evaluator = None
    config.default_hooks.checkpoint.update(interval=STOP, max_keep_ckpts=2)
    config.dump(str(folder / 'tiny.py'))
    return folder / 'tiny.py'


def of_method(name: str, folder: Path) -> Path:
    return write_config(folder, make_data(folder), name)


@pytest.mark.parametrize(
    ('name', 'kept', 'left_out'),
    [
        ('five classes', {'day', 'night', 'projection_head'}, {'day', 'projection_head'}),
        ('MeanTeacher', {'night', 'teacher', 'ema'}, {'teacher', 'ema'}),
        ('AdaptSegNetSegmentor', {'night', 'discriminators'}, {'discriminators'}),
        ('DANNetSegmentor', {'night', 'discriminators'}, {'discriminators'}),
        ('UDAClusteringSegmentor', {'night'}, set()),
    ],
)
def test_two_processes_train_resume_export_and_test(
    tmp_path: Path, name: str, kept: set[str], left_out: set[str]
) -> None:
    config = five_classes(tmp_path) if name == 'five classes' else of_method(name, tmp_path)
    run(tmp_path, 'dist_train', config, 2, '--work-dir', 'whole')
    half = tmp_path / f'whole/iter_{STOP}.pth'
    (tmp_path / 'resumed').mkdir()
    half.rename(tmp_path / 'resumed' / half.name)
    log = run(tmp_path, 'dist_train', config, 2, '--work-dir', 'resumed', '--resume')
    assert 'GPU number: 2' in log  # mmengine's word for processes

    last = f'iter_{ITERATIONS}.pth'
    whole, resumed = (load_checkpoint_file(tmp_path / d / last) for d in ('whole', 'resumed'))
    for key in ('state_dict', 'optimizer', 'param_schedulers'):
        assert same(whole[key], resumed[key]), key
    assert {key.split('.')[0] for key in whole['state_dict']} == kept

    report = export_files(Config.fromfile(str(config)), tmp_path / 'whole' / last, tmp_path / 'out')
    assert {key.split('.')[0] for key in report.left_out} == left_out
    log = run(tmp_path, 'dist_test', config, f'whole/{last}', 2, '--work-dir', 'tested')
    assert re.search(r'mIoU: +[0-9.]+', log)
