"""Methods on the base class through tools/train.py: they train, stop, resume to the last bit, and export."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from method_config import ITERATIONS, STOP, same, write_config
from mmengine.config import Config
from mmengine.logging import MessageHub, MMLogger
from mmseg.visualization import SegLocalVisualizer
from tool_project import load_tool, run_tool

from benchmarks.forked_training import make_data
from mmseg_ccdistill.export.branch_export import export_files
from mmseg_ccdistill.runtime.checkpoint_file import load_checkpoint_file


@pytest.fixture(scope='module')
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_data(tmp_path_factory.mktemp('methods'))


def train(monkeypatch: pytest.MonkeyPatch, config: Path, work_dir: Path, *options: str) -> None:
    for kept in (SegLocalVisualizer, MMLogger, MessageHub):  # of a run before
        kept._instance_dict.clear()
    arguments = (str(config), '--work-dir', str(work_dir), *options)
    assert run_tool(load_tool('tools/train.py'), monkeypatch, *arguments) == 0


@pytest.mark.parametrize(
    ('method', 'left_out'),
    [
        ('AdaptSegNetSegmentor', {'discriminators'}),
        ('AdvEntSegmentor', {'discriminators'}),
        ('BDLSegmentor', {'discriminators'}),
        ('MinEntSegmentor', set()),
        ('DANNetSegmentor', {'discriminators'}),
        ('UDAClusteringSegmentor', set()),
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
    assert ('LightNet' in report.components) == (method == 'DANNetSegmentor')
