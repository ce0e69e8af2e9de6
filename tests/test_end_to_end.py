"""Whole runs on tiny data: our tools, mmseg's own unmodified tools, two processes, the paper's sizes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import cv2
import mmseg
import numpy as np
import pytest
import torch
from meeting_port import meeting_port
from mmengine.analysis import get_model_complexity_info
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmseg.apis import MMSegInferencer, init_model
from mmseg.registry import MODELS

from mmseg_ccdistill.mini_night import write_mini_night
from mmseg_ccdistill.runtime.checkpoint_file import OWN_KEY

ROOT = Path(__file__).resolve().parents[1]
STOCK = Path(mmseg.__file__).parent / '.mim/tools'
CONFIG = ROOT / 'configs/ccdistill/refinenet_small_mini_day2night.py'
SOURCE_CONFIG = ROOT / 'configs/refinenet/refinenet_small_mini.py'


@pytest.fixture(scope='module')
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A mini night of a few frames."""
    out = tmp_path_factory.mktemp('mini') / 'mini_night'
    return Path(
        write_mini_night(
            out, num_source_train=4, num_source_val=2, num_pairs=4, num_target_val=2, workers=1
        )
    )


@pytest.fixture(scope='module')
def source_checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A plain checkpoint as the source-only stage writes it."""
    init_default_scope('mmseg')
    model = MODELS.build(Config.fromfile(str(SOURCE_CONFIG)).model)
    model.init_weights()
    path = tmp_path_factory.mktemp('source') / 'source.pth'
    torch.save({'state_dict': model.state_dict(), 'meta': {OWN_KEY: '0.1.0'}}, path)
    return path


def options(data: Path, iters: int = 2) -> dict[str, Any]:
    """Overrides that point the config to the data and make the run short."""
    target = data / 'dark_zurich'
    return {
        'train_dataloader.dataset.source.data_root': data / 'cityscapes',
        'train_dataloader.dataset.target.data_root': target,
        'val_dataloader.dataset.data_root': target,
        'test_dataloader.dataset.data_root': target,
        'train_cfg.max_iters': iters,
        'train_cfg.val_interval': iters,
        'default_hooks.checkpoint.interval': iters,
        'default_hooks.logger.interval': 1,
    }


def run(
    script: Path, *arguments: Any, environment: Any = None, **overrides: Any
) -> subprocess.CompletedProcess:
    command = [str(script)] if script.suffix == '.sh' else [sys.executable, str(script)]
    pairs = [f'{key}={value}' for key, value in overrides.pop('options', {}).items()]
    env = dict(os.environ, OMP_NUM_THREADS='1', PYTHONWARNINGS='ignore', PYTHON=sys.executable)
    env.update(environment or {})
    result = subprocess.run(
        [*command, *map(str, arguments), *(['--cfg-options', *pairs] if pairs else [])],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env=env,
        timeout=900,
    )
    assert result.returncode == 0, result.stdout[-3000:] + result.stderr[-3000:]
    return result


def logged(work_dir: Path) -> list[dict[str, Any]]:
    (path,) = work_dir.glob('*/vis_data/scalars.json')
    return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.mark.slow
def test_mmsegs_own_tools_work_on_the_config(
    data: Path, source_checkpoint: Path, tmp_path: Path
) -> None:
    """Nothing but `custom_imports` connects the two."""
    run(
        STOCK / 'train.py',
        CONFIG,
        '--work-dir',
        tmp_path,
        options={**options(data), 'load_from': source_checkpoint},
    )
    rows = logged(tmp_path)
    assert all(np.isfinite(row['loss']) for row in rows if 'loss' in row)
    assert (tmp_path / 'iter_2.pth').exists()
    for extra in ((), ('--tta',)):
        result = run(
            STOCK / 'test.py',
            CONFIG,
            tmp_path / 'iter_2.pth',
            '--work-dir',
            tmp_path / 'test',
            *extra,
            options=options(data),
        )
        assert 'mIoU' in result.stdout + result.stderr


@pytest.mark.slow
def test_two_processes_step_on_a_cpu(data: Path, source_checkpoint: Path, tmp_path: Path) -> None:
    result = run(
        ROOT / 'tools/dist_train.sh',
        CONFIG,
        2,
        '--work-dir',
        tmp_path,
        environment={'PORT': str(meeting_port())},
        options={**options(data), 'load_from': source_checkpoint},
    )
    assert 'GPU number: 2' in result.stdout + result.stderr  # mmengine's word for processes
    rows = [row for row in logged(tmp_path) if 'loss' in row]
    terms = ('cross.loss_cdc_js', 'cross.loss_cds', 'target_night.loss_pseudo')
    assert rows and all(np.isfinite(row[key]) for row in rows for key in ('loss', *terms))
    assert (tmp_path / 'iter_2.pth').exists()


def test_inferencer_init_model_and_flops(
    data: Path, source_checkpoint: Path, tmp_path: Path
) -> None:
    """What users do with a trained model, on one image of another size."""
    image = next((data / 'dark_zurich/rgb_anon/val/night').rglob('*.png'))
    model = init_model(str(CONFIG), str(source_checkpoint), device='cpu')
    inferencer = MMSegInferencer(str(CONFIG), str(source_checkpoint), device='cpu')
    result = inferencer(str(image), return_datasamples=True, show=False)
    assert result.pred_sem_seg.data.shape[-2:] == cv2.imread(str(image)).shape[:2]
    plain = init_model(str(SOURCE_CONFIG), str(source_checkpoint), device='cpu')
    flops = [
        get_model_complexity_info(m, (3, 128, 128), show_table=False, show_arch=False)['flops']
        for m in (model, plain)
    ]
    assert (
        flops[0] == flops[1] > 0
    )  # the day branch and the projection head do no work at test time


def _write(path: Path, image: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), image)


@pytest.mark.slow
def test_the_papers_config_steps_on_full_size_images(tmp_path: Path) -> None:
    """RefineNet-R101 on 2048 x 1024 and 1920 x 1080 images: finite terms of the expected magnitudes.

    Batch 1 keeps the step near a minute; a fresh classifier has L_seg = ln 19, an untrained
    feature after its ReLU a Gram cosine near 1.
    """
    generator = np.random.default_rng(0)

    def picture(height: int, width: int) -> np.ndarray:
        small = generator.integers(0, 256, (height // 8, width // 8, 3), dtype=np.uint8)
        return cv2.resize(small, (width, height), interpolation=cv2.INTER_CUBIC)

    label = np.kron(generator.integers(0, 19, (16, 32)), np.ones((64, 64))).astype(np.uint8)
    for index in range(2):
        stem = f'train/ulm/ulm_{index:06d}_000019'
        _write(tmp_path / f'cs/leftImg8bit/{stem}_leftImg8bit.png', picture(1024, 2048))
        _write(tmp_path / f'cs/gtFine/{stem}_gtFine_labelTrainIds.png', label)
    stems = (
        'train/night/GOPR0351/GOPR0351_frame_000001',
        'train/day/GOPR0345/GOPR0345_frame_000081',
    )
    for stem, gain in zip(stems, (4, 1), strict=True):
        _write(tmp_path / f'dz/rgb_anon/{stem}_rgb_anon.png', picture(1080, 1920) // gain)
    (tmp_path / 'dz/lists').mkdir()
    (tmp_path / 'dz/lists/zurich_dn_pair_train.csv').write_text(','.join(stems) + '\n')
    val = 'val/night/GOPR0356/GOPR0356_frame_000321'
    _write(tmp_path / f'dz/rgb_anon/{val}_rgb_anon.png', picture(1080, 1920) // 4)
    _write(tmp_path / f'dz/gt/{val}_gt_labelTrainIds.png', np.zeros((1080, 1920), np.uint8))
    run(
        ROOT / 'tools/train.py',
        ROOT / 'configs/ccdistill/refinenet_r101_cs2dz.py',
        '--work-dir',
        tmp_path / 'work',
        options={
            'train_dataloader.dataset.source.data_root': tmp_path / 'cs',
            'train_dataloader.dataset.target.data_root': tmp_path / 'dz',
            'val_dataloader.dataset.data_root': tmp_path / 'dz',
            'train_dataloader.batch_size': 1,
            'train_dataloader.num_workers': 0,
            'train_dataloader.persistent_workers': False,
            'train_cfg.max_iters': 2,
            'train_cfg.val_interval': 100,
            'default_hooks.checkpoint.interval': 100,
            'default_hooks.checkpoint.save_last': False,
            'default_hooks.logger.interval': 1,
            'load_from': None,
        },
    )
    first = logged(tmp_path / 'work')[0]
    for light in ('day', 'night'):
        assert first[f'source_{light}.loss_seg'] == pytest.approx(np.log(19), abs=0.5)
    assert 0 <= first['cross.loss_cds'] < 0.05
    assert (
        abs(first['cross.loss_cdc_js']) < 2 * 4 * 2 * 0.5
    )  # 2 lambda_1, 4 lambda, JS ~ 0.25 (1 - cos)
    assert 0 <= first['cross.loss_cdc_illu'] <= 8 and 0 <= first['cross.loss_cdc_in'] <= 8
