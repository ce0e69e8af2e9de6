from __future__ import annotations

from pathlib import Path

import pytest
from mmengine.config import Config
from tool_project import load_tool, make_project, run_tool

from mmseg_ccdistill.runtime import loader_workers
from mmseg_ccdistill.runtime.loader_workers import fit_loaders_to_workers

SETTINGS = dict(
    persistent_workers=True, prefetch_factor=4, timeout=60, multiprocessing_context='fork'
)


@pytest.mark.parametrize('workers', [dict(num_workers=0), {}])
def test_without_workers_nothing_for_them_is_left(workers: dict) -> None:
    """Absent, ``num_workers`` is 0, torch's default."""
    loader = dict(batch_size=2, pin_memory=True, **workers)
    config = Config(dict(train_dataloader=dict(loader, **SETTINGS), val_dataloader=None))
    fit_loaders_to_workers(config)
    assert config.train_dataloader == loader and config.val_dataloader is None


def test_workers_keep_their_settings() -> None:
    loader = dict(num_workers=2, **SETTINGS)
    config = Config(dict(train_dataloader=loader, test_dataloader=loader, other=SETTINGS))
    fit_loaders_to_workers(config)
    assert config.train_dataloader == config.test_dataloader == loader
    assert config.other == SETTINGS


@pytest.mark.parametrize('name', ['train', 'test'])
def test_a_tool_runs_without_workers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """torch refuses persistent_workers and prefetch_factor there, with a traceback."""
    monkeypatch.chdir(make_project(tmp_path))
    text = (tmp_path / 'source.py').read_text()
    settings = 'num_workers=2, persistent_workers=True, prefetch_factor=3'
    (tmp_path / 'source.py').write_text(text.replace('num_workers=0', settings) + _RUN)
    said: list[str] = []
    monkeypatch.setattr(loader_workers, 'print_log', lambda message, logger: said.append(message))
    loader = f'{name}_dataloader'
    arguments = ['source.py'] if name == 'train' else ['source.py', 'source.pth']
    options = ['--cfg-options', f'{loader}.num_workers=0']
    assert run_tool(load_tool(f'tools/{name}.py'), monkeypatch, *arguments, *options) == 0
    assert said == [
        f'{loader} has no workers (num_workers=0): without persistent_workers, prefetch_factor'
    ]


_RUN = """
optim_wrapper = dict(type='OptimWrapper', optimizer=dict(type='SGD', lr=0.01))
train_cfg = dict(type='IterBasedTrainLoop', max_iters=1)
test_cfg = dict(type='TestLoop')
test_evaluator = dict(type='IoUMetric')
"""
