"""docs/own_classes.md: its three configs, taken from the page, train one after the other."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.logging import MessageHub, MMLogger
from mmseg.visualization import SegLocalVisualizer
from own_streets import CONFIGS, PAGE, make_streets
from tool_project import load_tool, run_tool

from mmseg_ccdistill.models.losses import class_balance_weights


@pytest.fixture
def streets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The page's data and configs, in the working directory."""
    make_streets(tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_page_has_its_three_configs() -> None:
    assert [name for name, _ in CONFIGS] == [
        'my_streets_source.py',
        'my_streets.py',
        'my_streets_matched.py',
    ]
    trained = re.findall(r'^ccdistill train configs/(\w+\.py)$', PAGE, re.MULTILINE)
    assert trained == [name for name, _ in CONFIGS]


def test_the_weights_are_those_of_the_frequencies(streets: Path) -> None:
    config = Config.fromfile('configs/my_streets.py')
    call = re.search(r'# class_balance_weights\((\[.*\])\)', PAGE)
    assert call is not None
    expected = class_balance_weights([float(x) for x in call[1].strip('[]').split(',')])
    assert config.class_weight == pytest.approx(expected.tolist(), abs=5e-5)


def test_the_stage_and_both_adaptations_train(
    streets: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, load_from in (
        ('my_streets_source', 'None'),
        ('my_streets', 'work_dirs/my_streets_source/iter_2.pth'),
        ('my_streets_matched', 'work_dirs/my_streets_source/iter_2.pth'),
    ):
        for kept in (SegLocalVisualizer, MMLogger, MessageHub):  # mmengine keeps one of each
            kept._instance_dict.clear()
        options = [f'load_from={load_from}', 'train_cfg.max_iters=2', 'train_cfg.val_interval=2']
        tool = load_tool('tools/train.py')
        code = run_tool(tool, monkeypatch, f'configs/{name}.py', '--cfg-options', *options)
        assert code == 0
    for name in ('my_streets', 'my_streets_matched'):
        trained = torch.load(streets / f'work_dirs/{name}/iter_2.pth', weights_only=True)
        assert (
            trained['meta']['dataset_meta']['classes']
            == Config.fromfile('configs/my_streets.py').classes
        )
        assert trained['state_dict']['night.decode_head.conv_seg.weight'].shape[0] == 5
