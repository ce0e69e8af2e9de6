"""Self-training through tools/train.py: it stops, resumes to the last bit, and exports M_n alone."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from mmengine.config import Config
from test_method_runs import data, same, train  # noqa: F401

from mmseg_ccdistill.export.branch_export import export_files
from mmseg_ccdistill.runtime.checkpoint_file import load_checkpoint_file

CONFIG = (
    Path(__file__).resolve().parents[1] / 'configs/ccdistill/refinenet_small_mini_day2night_plus.py'
)
ITERATIONS, STOP = 6, 3


#: The recipe of the plus configs, and that of both networks with L_pseudo handed over.
RECIPES: dict[str, dict[str, Any]] = {
    'plus': {},
    'both': dict(learners=('night', 'day'), keep_pseudo=False),
}


def write_config(folder: Path, root: Path, **recipe: Any) -> Path:
    """Narrow layers, small crops, a few iterations; self-training from the second one on."""
    config = Config.fromfile(str(CONFIG))
    model, dataset = config.model, config.train_dataloader.dataset
    model.data_preprocessor.size = model.segmentor.data_preprocessor.size = (32, 32)
    model.segmentor.backbone.update(base_channels=8, stem_channels=8)
    model.segmentor.decode_head.update(
        in_channels=[8, 16, 32, 64], channels=8, block_channels=(16, 8, 8, 8), dropout_ratio=0.5
    )
    model.projection_head.update(in_channels=8, out_channels=8)
    model.self_training.update(
        start=1, ramp=0.5, lag=0.25, augment=True, masked_ratio=0.5, paste='half+things', **recipe
    )
    dataset.source.data_root = str(root / 'cityscapes')
    dataset.target.data_root = str(root / 'dark_zurich')
    for step in [*dataset.source.pipeline, *dataset.target.pipeline]:
        sizes = dict(RandomResize=(128, 64), RandomCrop=(32, 32), Resize=(32, 32))
        if step.type in sizes:
            step['crop_size' if step.type == 'RandomCrop' else 'scale'] = sizes[step.type]
    config.train_dataloader.sampler.rare_classes.update(min_pixels=20)
    config.train_cfg.max_iters = config.param_scheduler[0].end = ITERATIONS
    config.val_cfg = config.val_dataloader = config.val_evaluator = None
    config.default_hooks.checkpoint.update(interval=STOP, max_keep_ckpts=2)
    config.default_hooks.logger.interval = config.log_processor.window_size = 1
    config.load_from = None
    config.pop('work_dir', None)
    config.dump(str(folder / 'tiny.py'))
    return folder / 'tiny.py'


@pytest.mark.parametrize('name', RECIPES)
def test_stopped_and_resumed_it_ends_as_the_whole_run(
    name: str,
    data: Path,  # noqa: F811
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path / 'cache'))
    config = write_config(tmp_path, data, **RECIPES[name])
    train(monkeypatch, config, tmp_path / 'whole')
    (log,) = (tmp_path / 'whole').glob('*/vis_data/scalars.json')
    lines = log.read_text().splitlines()
    begun = [False, False, True, True, True, True]
    assert ['night.loss_mix' in line for line in lines] == begun
    assert ['day.loss_mix' in line for line in lines] == [on and name == 'both' for on in begun]
    handed_over = json.loads(lines[-1])['target_night.loss_pseudo'] == 0
    assert handed_over == (name == 'both')
    whole = load_checkpoint_file(tmp_path / f'whole/iter_{ITERATIONS}.pth')
    (tmp_path / 'resumed').mkdir()
    half = tmp_path / f'whole/iter_{STOP}.pth'
    half.rename(tmp_path / 'resumed' / half.name)
    (tmp_path / 'resumed/last_checkpoint').write_text(str(tmp_path / 'resumed' / half.name))
    train(monkeypatch, config, tmp_path / 'resumed', '--resume')
    resumed = load_checkpoint_file(tmp_path / f'resumed/iter_{ITERATIONS}.pth')
    for key in ('state_dict', 'optimizer', 'param_schedulers'):
        assert same(whole[key], resumed[key]), key
    state = whole['state_dict']
    assert state['self_training.emas.night.updates'] == ITERATIONS
    weight = 'decode_head.conv_seg.weight'
    for light in ('night', 'day'):
        teacher, student = (
            state[f'{own}{light}.{weight}'] for own in ('self_training.teachers.', '')
        )
        assert not torch.equal(teacher, student)
    trained = {name for name in state if name.split('.')[0] in ('day', 'night', 'projection_head')}
    assert len(whole['optimizer']['state']) <= len(trained)
    path = tmp_path / f'whole/iter_{ITERATIONS}.pth'
    report = export_files(Config.fromfile(str(config)), path, tmp_path / 'night')
    assert {name.split('.')[0] for name in report.left_out} == {
        'day',
        'projection_head',
        'self_training',
    }
