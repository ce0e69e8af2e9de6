"""The trainings of a curriculum through tools/train.py: they stop, resume to the last bit, and refuse stale labels."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from fake_stages import ROOT
from method_config import same
from mmengine.config import Config
from mmengine.logging import MessageHub, MMLogger
from mmengine.registry import init_default_scope
from mmseg.datasets import CityscapesDataset
from mmseg.registry import MODELS
from mmseg.visualization import SegLocalVisualizer
from tool_project import load_tool, run_tool

from benchmarks.forked_training import make_data
from mmseg_ccdistill.engine.curriculum_plan import read_plan
from mmseg_ccdistill.engine.curriculum_run import run_curriculum
from mmseg_ccdistill.engine.curriculum_stage import Tools
from mmseg_ccdistill.runtime.checkpoint_file import load_checkpoint_file
from mmseg_ccdistill.runtime.file_digest import file_digest

ITERATIONS, STOP = 4, 2


@pytest.fixture(scope='module')
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Mini night; its nights stand for twilight, too."""
    root = make_data(tmp_path_factory.mktemp('curriculum'))
    train = root / 'dark_zurich/rgb_anon/train'
    (train / 'twilight').symlink_to(train / 'night')
    return root


def write_label_tool(path: Path) -> Path:
    """A program with the arguments of tools/pseudo_label.py that labels by brightness."""
    path.write_text(
        'import hashlib, json, sys\n'
        'from pathlib import Path\n'
        'import cv2\n'
        f'CLASSES = {list(CityscapesDataset.METAINFO["classes"])!r}\n'
        'words = sys.argv[1:]\n'
        'images, out = (Path(words[words.index(k) + 1]) for k in ("--images", "--out"))\n'
        'digest = hashlib.sha256(Path(words[1]).read_bytes()).hexdigest()\n'
        'names = sorted(str(f.relative_to(images)) for f in images.glob("*/*.png"))\n'
        'for name in names:\n'
        '    (out / name).parent.mkdir(parents=True, exist_ok=True)\n'
        '    cv2.imwrite(str(out / name), cv2.imread(str(images / name), 0) % 19)\n'
        'settings = dict(checkpoint=digest, classes=CLASSES)\n'
        'manifest = dict(format=1, finished=True, settings=settings, images=dict.fromkeys(names, {}))\n'
        '(out / "manifest.json").write_text(json.dumps(manifest))\n'
    )
    return path


def shrink(config: Config, data: Path) -> None:
    """Narrow layers, small crops, a few iterations, the data of the test."""
    model = config.model
    model.data_preprocessor.size = (32, 32)
    model.backbone.update(base_channels=8, stem_channels=8)
    model.decode_head.update(
        in_channels=[8, 16, 32, 64], channels=8, block_channels=(16, 8, 8, 8), dropout_ratio=0.5
    )
    text = json.dumps(config.train_dataloader.to_dict()).replace('data/mini_night/', f'{data}/')
    config.train_dataloader = json.loads(text)
    for part in config.train_dataloader.dataset.parts:
        for step in part.dataset.pipeline:
            sizes = dict(RandomResize=[128, 64], RandomCrop=[32, 32])
            if step.type in sizes:
                step['crop_size' if step.type == 'RandomCrop' else 'scale'] = tuple(
                    sizes[step.type]
                )
            if step.type == 'RandomResize':
                step.ratio_range = (0.7, 1.3)
    config.train_cfg.max_iters = config.param_scheduler[0].end = ITERATIONS
    config.val_cfg = config.val_dataloader = config.val_evaluator = None
    config.default_hooks.checkpoint.update(interval=STOP, max_keep_ckpts=2)
    config.default_hooks.logger.interval = 1


def prepare(folder: Path, data: Path, monkeypatch: pytest.MonkeyPatch, method: str) -> str:
    """Write the configs of a method with their curriculum and a source-only checkpoint; returns the last config."""
    monkeypatch.chdir(folder)
    stem = 'refinenet_small_mini_day2night'
    last = Config.fromfile(str(ROOT / f'configs/{method}/{stem}.py'))
    paths = dict.fromkeys(s.train for s in last.curriculum if 'train' in s)
    source = Path('work_dirs/refinenet/refinenet_small_mini/iter_600.pth')
    source.parent.mkdir(parents=True)
    for path in paths:
        config = Config.fromfile(str(ROOT / path))
        text = json.dumps(config.get('curriculum')).replace('data/mini_night/', f'{data}/')
        text = text.replace('configs/refinenet/refinenet_small_mini.py', next(iter(paths)))
        shrink(config, data)
        config.curriculum = json.loads(text)
        for stage in config.curriculum or ():
            stage.pop('refine', None)
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        if not source.exists():
            init_default_scope('mmseg')
            torch.manual_seed(0)
            model = MODELS.build(config.model)
            torch.save(dict(meta={}, state_dict=model.state_dict()), source)
        config.dump(path)
    return path


def train(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> int:
    for kept in (SegLocalVisualizer, MMLogger, MessageHub):  # of a run before
        kept._instance_dict.clear()
    return run_tool(load_tool('tools/train.py'), monkeypatch, *arguments)


def label(config: str, checkpoint: str, images: Path, out: str) -> None:
    tool = write_label_tool(Path('label.py'))
    words = [config, checkpoint, '--images', str(images), '--out', out]
    assert os.spawnv(os.P_WAIT, sys.executable, [sys.executable, str(tool), *words]) == 0


@pytest.mark.parametrize(
    ('method', 'first', 'light'), [('dmada', 'twilight', 'twilight'), ('gcma', 'day', 'day')]
)
def test_the_first_training_stopped_and_resumed_ends_as_the_whole_run(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, method: str, first: str, light: str
) -> None:
    last = prepare(tmp_path, data, monkeypatch, method)
    config = last.replace('.py', f'_{first}.py')
    loaded = Config.fromfile(config)
    labels = loaded.train_dataloader.dataset.parts[1].dataset.data_prefix.seg_map_path
    label(config, loaded.load_from, data / f'dark_zurich/rgb_anon/train/{light}', labels)
    assert train(monkeypatch, config, '--work-dir', 'whole') == 0
    whole = load_checkpoint_file(Path(f'whole/iter_{ITERATIONS}.pth'))
    Path('resumed').mkdir()
    half = Path(f'whole/iter_{STOP}.pth').rename(f'resumed/iter_{STOP}.pth')
    Path('resumed/last_checkpoint').write_text(str(half))
    assert train(monkeypatch, config, '--work-dir', 'resumed', '--resume') == 0
    resumed = load_checkpoint_file(Path(f'resumed/iter_{ITERATIONS}.pth'))
    for key in ('state_dict', 'optimizer', 'param_schedulers'):
        assert same(whole[key], resumed[key]), key
    rows = [
        json.loads(line)
        for path in Path('whole').rglob('scalars.json')
        for line in path.read_text().splitlines()
    ]
    logged = {key for row in rows for key in row if key.startswith('part.')}
    assert logged and logged <= {'part.source', f'part.{light}'}
    start = load_checkpoint_file(Path(loaded.load_from))['state_dict']
    moments = 'backbone.bn1.running_mean'
    assert torch.equal(start[moments], whole['state_dict'][moments])  # frozen
    weight = 'backbone.conv1.weight'
    assert not torch.equal(start[weight], whole['state_dict'][weight])


def test_stale_labels_stop_the_training_at_its_start(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    last = prepare(tmp_path, data, monkeypatch, 'dmada')
    config = last.replace('.py', '_twilight.py')
    loaded = Config.fromfile(config)
    labels = loaded.train_dataloader.dataset.parts[1].dataset.data_prefix.seg_map_path
    assert train(monkeypatch, config) == 2
    assert (
        f"The folder '{labels}' of PseudoLabelledDataset does not exist" in capsys.readouterr().err
    )
    label(config, config, data / 'dark_zurich/rgb_anon/train/twilight', labels)
    assert train(monkeypatch, config) == 2
    error = capsys.readouterr().err
    assert 'error: train_dataloader.dataset.parts.1.dataset: The pseudo labels in ' in error
    assert 'were made by another checkpoint than' in error


@pytest.mark.slow
@pytest.mark.parametrize('gpus', [1, 2])
def test_a_whole_curriculum_with_real_trainings(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, gpus: int
) -> None:
    """With two processes: dist_train.sh over gloo. A training killed half way ends with the same weights."""
    last = prepare(tmp_path, data, monkeypatch, 'dmada')
    monkeypatch.setenv('PYTHONPATH', str(ROOT))
    monkeypatch.setenv('CUDA_VISIBLE_DEVICES', '')
    tools = Tools.of(ROOT / 'tools')
    tools = Tools(tools.train, tools.dist_train, str(write_label_tool(tmp_path / 'label.py')))
    stages = read_plan(last, 'run')
    if gpus == 2:  # the labelling of this test knows one process
        monkeypatch.setattr(type(stages[0]), '_label_command', one_process)
    run_curriculum(stages, 'run', tools, gpus)
    whole = load_checkpoint_file(stages[-1].product)['state_dict']
    stages[-1].product.unlink()  # as if it had been killed after the first of two checkpoints
    record = Path('run/night.json')
    record.write_text(json.dumps(dict(json.loads(record.read_text()), done=False)))
    run_curriculum(stages, 'run', tools, gpus)
    again = load_checkpoint_file(stages[-1].product)['state_dict']
    assert same(whole, again)
    manifest = json.loads(Path('run/night_labels/manifest.json').read_text())
    assert manifest['settings']['checkpoint'] == file_digest(stages[1].product)
    labels = [cv2.imread(str(path), -1) for path in Path('run/night_labels').rglob('*.png')]
    assert len(labels) == 4 and all(np.max(image) < 19 for image in labels)


def one_process(stage: object, tools: Tools, gpus: int) -> list[str]:
    words = [stage.config, stage.checkpoint, '--out', str(stage.folder), '--images', stage.images]  # type: ignore[attr-defined]
    return [sys.executable, tools.label, *words]


def test_a_part_without_labels_is_named(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    config = prepare(tmp_path, data, monkeypatch, 'dmada').replace('.py', '_twilight.py')
    loaded = Config.fromfile(config)
    parts = loaded.train_dataloader.dataset.parts
    del parts[1]
    parts[0].dataset.pipeline.pop(1)
    loaded.dump('bare.py')
    assert train(monkeypatch, 'bare.py') == 2
    error = capsys.readouterr().err
    assert (
        'train_dataloader.dataset.parts.0.dataset.pipeline loads no labels: expected Load' in error
    )


def test_an_empty_part_is_named_before_anything_is_built(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    config = prepare(tmp_path, data, monkeypatch, 'dmada').replace('.py', '_twilight.py')
    Path('empty').mkdir()
    option = f'train_dataloader.dataset.parts.0.dataset.data_prefix.img_path={tmp_path}/empty'
    assert train(monkeypatch, config, '--cfg-options', option) == 2
    error = capsys.readouterr().err
    assert 'train_dataloader.dataset.parts.0.dataset: CityscapesDataset has no images: exp' in error


def test_a_share_that_is_not_positive_is_named(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    config = prepare(tmp_path, data, monkeypatch, 'gcma').replace('.py', '_day.py')
    loaded = Config.fromfile(config)
    labels = loaded.train_dataloader.dataset.parts[1].dataset.data_prefix.seg_map_path
    label(config, loaded.load_from, data / 'dark_zurich/rgb_anon/train/day', labels)
    option = 'train_dataloader.dataset.parts.1.share=0'
    assert train(monkeypatch, config, '--cfg-options', option) == 2
    assert 'number 1 has share=0: expected a positive number' in capsys.readouterr().err
