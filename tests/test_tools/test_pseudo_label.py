"""tools/pseudo_label.py: from a checkpoint to a training on its labels, and what it refuses."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from PIL import Image
from tool_project import NIGHTS, ROOT, error_of, load_tool, make_project, run_tool

from mmseg_ccdistill import __version__
from mmseg_ccdistill.runtime.file_digest import file_digest

NAMES = [f'{stem}_rgb_anon.png' for stem in NIGHTS]

_BDL = """
_base_ = './tiny.py'
model = dict(
    _delete_=True, type='BDLSegmentor', data_preprocessor=_base_.model.data_preprocessor,
    segmentor=_base_.segmentor, discriminator=dict(type='OutputDiscriminator'), pseudo_label_weight=1.0)
target = dict(_base_.train_dataloader.dataset.target, night_label_dir='labels', night_labels_of='tiny.pth')
train_dataloader = dict(dataset=dict(target=target, domains=('source_night', 'target_night')))
optim_wrapper = dict(
    type='OptimWrapper', constructor='JointOptimWrapperConstructor',
    optimizer=dict(night=dict(type='SGD', lr=0.01), discriminators=dict(type='Adam', lr=1e-4)))
train_cfg = dict(type='IterBasedTrainLoop', max_iters=1)
default_hooks = dict(logger=dict(type='LoggerHook', interval=1),
                     checkpoint=dict(type='CheckpointHook', interval=1, by_epoch=False),
                     dataset_check=dict(type='DatasetCheckHook'))
test_evaluator = dict(type='IoUMetric', iou_metrics=['mIoU'])
test_cfg = dict(type='TestLoop')
load_from = 'tiny.pth'
"""


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(make_project(tmp_path))
    (tmp_path / 'bdl.py').write_text(_BDL)
    return tmp_path


@pytest.fixture
def tool() -> ModuleType:
    return load_tool('tools/pseudo_label.py')


def manifest(folder: str) -> dict[str, Any]:
    return json.loads(Path(folder, 'manifest.json').read_text())


def test_labels_and_a_training_on_them(
    files: Path, tool: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    """With the config of the coming training: its labels are not there yet."""
    assert run_tool(tool, monkeypatch, 'bdl.py', 'tiny.pth', '--out', 'labels') == 0
    said = capsys.readouterr().out
    settings = manifest('labels')['settings']
    assert settings['checkpoint'] == file_digest('tiny.pth')
    assert settings['version'] == __version__ and len(settings['classes']) == 19
    pixels = manifest('labels')['pixels']
    share = 1 - pixels['ignored'] / sum(pixels.values())
    assert f'labels: 3 images, {share:.1%} of their pixels are labelled' in said and share >= 0.5
    train = load_tool('tools/train.py')
    assert run_tool(train, monkeypatch, 'bdl.py', '--work-dir', 'run') == 0
    log = next(Path('run').rglob('scalars.json')).read_text()
    assert json.loads(log.splitlines()[0])['target_night.loss_seg'] > 0

    # The labels of another checkpoint are refused before anything is built, and nothing is overwritten.
    capsys.readouterr()
    Path('tiny.pth').write_bytes(Path('source.pth').read_bytes())
    assert run_tool(train, monkeypatch, 'bdl.py', '--work-dir', 'other') == 2
    assert error_of(capsys) == (
        "train_dataloader.dataset.target: The pseudo labels in 'labels' were made by another checkpoint than "
        "'tiny.pth': expected labels of the stage before; make them anew in another folder, or correct night_labels_of."
    )
    before = {path: path.read_bytes() for path in Path('labels').rglob('*.png')}
    assert run_tool(tool, monkeypatch, 'bdl.py', 'tiny.pth', '--out', 'labels') == 2
    assert error_of(capsys) == (
        "--out 'labels' holds labels of other settings (other checkpoint): expected to go on with the same ones; name "
        'another folder, or remove this one'
    )
    assert before == {path: path.read_bytes() for path in Path('labels').rglob('*.png')}


def test_a_training_without_its_labels_or_with_other_classes_is_refused(
    files: Path, tool: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    train = load_tool('tools/train.py')
    assert run_tool(train, monkeypatch, 'bdl.py') == 2
    assert error_of(capsys).startswith(
        "train_dataloader.dataset.target: The folder 'labels' of pseudo labels does not exist: "
    )
    target = 'train_dataloader.dataset.target.'
    none = [f'{target}night_label_dir=None', f'{target}night_labels_of=None']
    assert run_tool(train, monkeypatch, 'bdl.py', '--cfg-options', *none) == 2
    assert error_of(capsys) == (
        'pseudo_label_weight=1.0 needs labels of target_night, and the training set has none: set '
        'train_dataloader.dataset.target.night_label_dir to a folder of tools/pseudo_label.py, or '
        'model.pseudo_label_weight=0.'
    )
    assert run_tool(tool, monkeypatch, 'bdl.py', 'tiny.pth', '--out', 'labels') == 0
    path = Path('labels/manifest.json')
    path.write_text(path.read_text().replace('"bicycle"', '"tricycle"'))
    capsys.readouterr()
    assert run_tool(train, monkeypatch, 'bdl.py') == 2
    assert re.match(
        r'train_dataloader\.dataset\.target: its classes are not those of .* \(only in .*tricycle',
        error_of(capsys),
    )


@pytest.mark.parametrize(
    ('options', 'rule', 'ignored'),
    [
        (['--threshold', 'none'], ('none', None), 0),
        (['--threshold', 'fixed', 1], ('fixed', 1.0), 3 * 96 * 64),
    ],
)
def test_other_thresholds(
    files: Path,
    tool: ModuleType,
    monkeypatch: pytest.MonkeyPatch,
    options: list[Any],
    rule: tuple[str, float | None],
    ignored: int,
) -> None:
    assert run_tool(tool, monkeypatch, 'tiny.py', 'tiny.pth', '--out', 'new', *options) == 0
    found = manifest('new')
    assert (found['settings']['rule']['kind'], found['settings']['rule']['value']) == rule
    assert found['pixels']['ignored'] == ignored


def test_named_images_need_no_adaptation(
    files: Path, tool: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = 'data/dark_zurich/rgb_anon/test'
    arguments = ['source.py', 'source.pth', '--out', 'new', '--images', folder]
    assert run_tool(tool, monkeypatch, *arguments) == 0
    names = list(manifest('new')['images'])
    assert len(names) == 3 and all(name.startswith('night/') for name in names)
    with Image.open(Path('new', names[0])) as image:
        assert image.mode == 'L' and set(np.unique(image)) <= {*range(19), 255}


@pytest.mark.parametrize(
    ('arguments', 'sentence'),
    [
        (
            ['tiny.py', 'gone.pth'],
            "the argument CHECKPOINT: the checkpoint 'gone.pth' does not exist; name a .pth file of a finished "
            'training run',
        ),
        (
            ['tiny.py', 'tiny.pth', '--threshold', 'mean'],
            "the threshold is 'mean': expected one of ('median', 'none', 'fixed'); correct it",
        ),
        (
            ['tiny.py', 'tiny.pth', '--threshold', 'fixed', 'much'],
            'the threshold is \'fixed much\': expected "median", "none", or "fixed" and a number; correct it',
        ),
        (
            ['tiny.py', 'tiny.pth', '--threshold', 'fixed', '0.1', '0.2'],
            'the threshold is \'fixed 0.1 0.2\': expected "median", "none", or "fixed" and a number; correct it',
        ),
        (
            ['tiny.py', 'tiny.pth', '--image-root', 'data'],
            '--image-root goes with --images: leave it out',
        ),
        (
            ['tiny.py', 'https://host.invalid/tiny.pth'],
            "the argument CHECKPOINT: 'https://host.invalid/tiny.pth' is an address: expected a file on this machine; "
            'download it and name the file',
        ),
        (
            ['tiny.py', 'tiny.pth', '--threshold', 'none', '--quantile', '0.2', '--cap', '0.1'],
            "the threshold is 'none' with the quantile 0.2: expected it with 'median' alone; leave it out",
        ),
    ],
)
def test_mistakes_end_in_one_sentence(
    files: Path,
    tool: ModuleType,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture,
    arguments: list[str],
    sentence: str,
) -> None:
    assert run_tool(tool, monkeypatch, *arguments, '--out', 'new') == 2
    assert error_of(capsys) == sentence
    assert not Path('new').exists()


def test_a_folder_that_cannot_be_written_is_one_sentence_before_the_model_is_built(
    files: Path, tool: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.setattr(tool, 'load_segmentor', None)
    assert run_tool(tool, monkeypatch, 'tiny.py', 'tiny.pth', '--out', 'tiny.py/x') == 2
    assert error_of(capsys) == (
        "nothing can be written into 'tiny.py/x' (Not a directory): expected a folder with the right to write; name "
        'another with --out'
    )


@pytest.mark.slow
def test_torchrun_writes_the_same_bytes(
    files: Path, tool: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run_tool(tool, monkeypatch, 'tiny.py', 'tiny.pth', '--out', 'one') == 0
    command = [
        *(sys.executable, '-m', 'torch.distributed.run', '--nproc_per_node=2', '--master_port=0'),
        *('--rdzv-backend=c10d', '--rdzv-endpoint=127.0.0.1:0'),
        *(str(ROOT / 'tools/pseudo_label.py'), 'tiny.py', 'tiny.pth', '--out', 'two'),
        *('--launcher', 'pytorch'),
    ]
    env = dict(os.environ, PYTHONPATH=str(ROOT), OMP_NUM_THREADS='1', CUDA_VISIBLE_DEVICES='')
    subprocess.run(command, check=True, env=env, capture_output=True)
    names = {str(path.relative_to('one')) for path in Path('one').rglob('*') if path.is_file()}
    assert names == {*NAMES, 'manifest.json'}
    assert all(Path('one', n).read_bytes() == Path('two', n).read_bytes() for n in names)
