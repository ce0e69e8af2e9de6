"""Methods on the base class through tools/train.py: they train, stop, resume to the last bit, and export."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from mmengine.config import Config
from mmengine.logging import MessageHub, MMLogger
from mmseg.registry import MODELS
from mmseg.visualization import SegLocalVisualizer
from tool_project import load_tool, run_tool
from torch import Tensor

from benchmarks.forked_training import make_data, same
from mmseg_ccdistill.models.segmentors import AdaptationSegmentor, EMATeacher
from mmseg_ccdistill.runtime.checkpoint_file import load_checkpoint_file

CONFIG = (
    Path(__file__).resolve().parents[1] / 'configs/adaptsegnet/refinenet_small_mini_day2night.py'
)
ITERATIONS, STOP = 4, 2


@MODELS.register_module(force=True)
class MeanTeacher(AdaptationSegmentor):
    """M_n on S_d, and on T_n with the hard labels of its own moving average."""

    networks = ('night', 'teacher')
    frozen = ('teacher',)
    routes = {'source_day': 'night', 'target_night': 'night'}

    def __init__(self, segmentor: dict, **kwargs: Any) -> None:
        super().__init__(segmentor, **kwargs)
        self.ema = EMATeacher(lag=0.25)

    def loss(self, inputs: dict[str, Tensor], data_samples: dict[str, list]) -> dict[str, Tensor]:
        self.ema.update(self.night, self.teacher)
        maps = self.encode(self.night, inputs['source_day'])
        logits = self.night.decode_head(maps.head_inputs)
        labels = self.ground_truth(data_samples['source_day'])
        log = self.supervised_loss(self.night, 'source_day', maps.head_inputs, logits, labels)
        target = inputs['target_night']
        with torch.no_grad():
            taught = self.teacher.decode_head(self.encode(self.teacher, target).head_inputs)
            taught = self.upsample(self.teacher.decode_head, taught, target.shape[2:]).argmax(1)
        head = self.night.decode_head
        student = head(self.encode(self.night, target).head_inputs)
        log['target_night.loss_self'] = self.head_loss(head, student, taught)
        return log


@pytest.fixture(scope='module')
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_data(tmp_path_factory.mktemp('methods'))


def write_config(folder: Path, data: Path, method: str) -> Path:
    """The shipped config with narrow layers, small crops and a few iterations."""
    config = Config.fromfile(str(CONFIG))
    model, dataset = config.model, config.train_dataloader.dataset
    model.data_preprocessor.size = model.segmentor.data_preprocessor.size = (32, 32)
    model.segmentor.backbone.update(base_channels=8, stem_channels=8)
    model.segmentor.decode_head.update(
        in_channels=[8, 16, 32, 64], channels=8, block_channels=(16, 8, 8, 8), dropout_ratio=0.5
    )
    if method != 'AdaptSegNetSegmentor':
        keys = ('data_preprocessor', 'segmentor')
        config.model = dict(type=method, **{key: model[key] for key in keys})
        config.optim_wrapper.optimizer.pop('discriminators')
    dataset.source.data_root = str(data / 'cityscapes')
    dataset.target.data_root = str(data / 'dark_zurich')
    for step in [*dataset.source.pipeline, *dataset.target.pipeline]:
        sizes = dict(RandomResize=(128, 64), RandomCrop=(32, 32), Resize=(32, 32))
        if step.type in sizes:
            step['crop_size' if step.type == 'RandomCrop' else 'scale'] = sizes[step.type]
    config.train_cfg.max_iters = config.param_scheduler[0].end = ITERATIONS
    config.val_cfg = config.val_dataloader = config.val_evaluator = None
    config.default_hooks.checkpoint.update(interval=STOP, max_keep_ckpts=2)
    config.load_from = None
    config.pop('work_dir')
    config.dump(str(folder / 'tiny.py'))
    return folder / 'tiny.py'


def train(monkeypatch: pytest.MonkeyPatch, config: Path, work_dir: Path, *options: str) -> None:
    for kept in (SegLocalVisualizer, MMLogger, MessageHub):  # of a run before
        kept._instance_dict.clear()
    arguments = (str(config), '--work-dir', str(work_dir), *options)
    assert run_tool(load_tool('tools/train.py'), monkeypatch, *arguments) == 0


@pytest.mark.parametrize(
    ('method', 'left_out'),
    [
        ('AdaptSegNetSegmentor', {'discriminators'}),
        pytest.param('MeanTeacher', {'teacher', 'ema'}, marks=pytest.mark.slow),
    ],
)
def test_stopped_and_resumed_it_ends_as_the_whole_run(
    data: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    method: str,
    left_out: set[str],
) -> None:
    config = write_config(tmp_path, data, method)
    train(monkeypatch, config, tmp_path / 'whole')
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
    assert {name.split('.')[0] for name in state} == {'night', *left_out}
    if method == 'MeanTeacher':
        assert state['ema.updates'] == ITERATIONS
        # the lag is a quarter of the run, one iteration: the teacher is neither the start nor the student
        name = 'decode_head.conv_seg.weight'
        assert not torch.equal(state[f'teacher.{name}'], state[f'night.{name}'])
        parts = set(whole['optimizer']['state'])
        assert parts == {'night'}
    path = tmp_path / f'whole/iter_{ITERATIONS}.pth'
    report = export_files(Config.fromfile(str(config)), path, tmp_path / 'night')
    assert {name.split('.')[0] for name in report.left_out} == left_out
