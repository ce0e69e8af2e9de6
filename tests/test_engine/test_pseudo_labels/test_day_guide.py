"""Labels of twilight guided by day images: GCMA and MGCDA through tools/pseudo_label.py, stopped, shared, refused."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmseg.registry import MODELS
from tool_project import ROOT, error_of, load_tool, run_tool

from mmseg_ccdistill.curriculum import PairRefinement, refinement_settings
from mmseg_ccdistill.engine.inference import load_segmentor, unlabelled_pipeline
from mmseg_ccdistill.engine.pseudo_labels import day_guide
from mmseg_ccdistill.engine.pseudo_labels.day_guide import DayPrediction, day_images
from mmseg_ccdistill.engine.pseudo_labels.label_folder import LabelFolder
from mmseg_ccdistill.errors import UserInputError
from mmseg_ccdistill.mini_night import write_mini_night
from mmseg_ccdistill.runtime.file_digest import file_digest

PHOTOS, PAIRS = 'dark_zurich/rgb_anon/train', 'dark_zurich/corresp/train/twilight'
METHODS = {'gcma': ['align=filter'], 'mgcda': ['align=geometry', 'depth_root=depth']}


@pytest.fixture(scope='module')
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Tiny mini night with twilight, depth of some days, a small network and two checkpoints of it."""
    root = tmp_path_factory.mktemp('guided')
    write_mini_night(
        root, num_source_train=1, num_source_val=1, num_pairs=3, num_target_val=1,
        source_size=(128, 64), target_size=(240, 136), twilight=True, workers=1,
    )  # fmt: skip
    (root / 'depth').mkdir()
    days = sorted((root / PHOTOS / 'day').rglob('*.png'))
    for day in days[:2]:  # a street to the horizon; the last day has no depth
        rows = np.arange(136)[:, None].repeat(240, 1)
        np.save(root / f'depth/{day.stem}.npy', (60 - 0.4 * rows).astype(np.float32))
    config = Config.fromfile(str(ROOT / 'configs/refinenet/refinenet_small_mini.py'))
    config.test_dataloader.dataset.data_root = str(root / 'dark_zurich')
    config.val_dataloader.dataset.data_root = str(root / 'cityscapes')
    config.dump(root / 'small.py')
    init_default_scope('mmseg')
    for seed, name in enumerate(('guide', 'stage')):
        torch.manual_seed(seed)
        model = MODELS.build(config.model)
        model.init_weights()
        with torch.no_grad():  # so that labels differ from pixel to pixel
            for parameter in model.decode_head.conv_seg.parameters():
                parameter.normal_()
        torch.save(dict(meta={}, state_dict=model.state_dict()), root / f'{name}.pth')
    return root


def words(method: str, out: Path) -> list[str]:
    refine = ['guide=guide.pth', f'pairs={PAIRS}', *METHODS[method]]
    images = ['--images', f'{PHOTOS}/twilight', '--threshold', 'none']
    return ['small.py', 'stage.pth', '--out', str(out), *images, '--refine', *refine]


def label(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> int:
    return run_tool(load_tool('tools/pseudo_label.py'), monkeypatch, *arguments)


def content(folder: Path) -> dict[str, bytes]:
    found = sorted(path for path in folder.rglob('*') if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in found}


class Killed(Exception):
    """Stands for a signal."""


@pytest.mark.parametrize('method', METHODS)
def test_killed_and_resumed_it_ends_with_the_bytes_of_one_run(
    world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture, method: str
) -> None:  # fmt: skip
    monkeypatch.chdir(world)
    said: list[str] = []
    monkeypatch.setattr(day_guide, 'warn', said.append)
    assert label(monkeypatch, *words(method, tmp_path / 'whole')) == 0
    sentence = capsys.readouterr().out.splitlines()[-1]
    lines = [
        '2 of 3 day images have depth in refine.depth_root depth; for the others a homography is tried'
    ]
    assert said == (lines if method == 'mgcda' else [])
    manifest = json.loads((tmp_path / 'whole/manifest.json').read_text())
    kinds = [image['alignment']['kind'] for image in manifest['images'].values()]
    assert sentence.startswith('Of 3 pairs: ') and len(kinds) == 3
    reasons = [image['alignment']['reason'] or '' for image in manifest['images'].values()]
    assert any(reason.startswith('no depth') for reason in reasons) == (method == 'mgcda')
    if method == 'gcma':
        assert sentence == 'Of 3 pairs: 3 filtered.' and set(kinds) == {'filtered'}
    written, write = 0, LabelFolder.write_label

    def die(folder: LabelFolder, *arguments: Any) -> None:
        nonlocal written
        written += 1
        if written == 2:
            raise Killed
        write(folder, *arguments)

    monkeypatch.setattr(LabelFolder, 'write_label', die)
    with pytest.raises(Killed):
        label(monkeypatch, *words(method, tmp_path / 'killed'))
    monkeypatch.setattr(LabelFolder, 'write_label', write)
    seen: list[str] = []
    refine = PairRefinement.__call__

    def listed(self: PairRefinement, p: Any, path: str) -> Any:
        seen.append(path)
        return refine(self, p, path)

    monkeypatch.setattr(PairRefinement, '__call__', listed)
    capsys.readouterr()
    assert label(monkeypatch, *words(method, tmp_path / 'killed')) == 0
    assert len(seen) == 2 and capsys.readouterr().out.splitlines()[-1] == sentence
    assert content(tmp_path / 'killed') == content(tmp_path / 'whole')


@pytest.mark.parametrize('method', METHODS)
def test_two_processes_write_the_bytes_of_one(
    world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    monkeypatch.chdir(world)
    assert label(monkeypatch, *words(method, tmp_path / 'one')) == 0
    run = ['-m', 'torch.distributed.run', '--nproc_per_node=2', '--rdzv-backend=c10d']
    command = [
        *(sys.executable, *run, '--rdzv-endpoint=127.0.0.1:0', str(ROOT / 'tools/pseudo_label.py')),
        *(*words(method, tmp_path / 'two'), '--launcher', 'pytorch'),
    ]
    env = dict(os.environ, PYTHONPATH=str(ROOT), OMP_NUM_THREADS='1', CUDA_VISIBLE_DEVICES='')
    done = subprocess.run(command, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count('Of 3 pairs: ') == 1
    assert content(tmp_path / 'two') == content(tmp_path / 'one')


def test_the_label_is_the_fused_opinion_of_both_networks(
    world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Against PairRefinement called by hand; another guide or other settings are another labelling."""
    monkeypatch.chdir(world)
    assert label(monkeypatch, *words('gcma', tmp_path / 'out')) == 0
    manifest = json.loads((tmp_path / 'out/manifest.json').read_text())
    facts = manifest['settings']['refine']
    assert facts['guide'] == file_digest('guide.pth') and facts['align'] == 'filter'
    assert facts['depth'] is None and facts['day_weight'] == 0.6
    config = Config.fromfile('small.py')
    images = {name: f'{PHOTOS}/twilight/{name}' for name in manifest['images']}
    day_of = day_images(PAIRS, images)
    assert len(day_of) == 3 and all(Path(day).is_file() for day in day_of.values())
    guide, stage = DayPrediction('guide.pth'), DayPrediction('stage.pth')
    for prediction in (guide, stage):
        prediction.load(config, unlabelled_pipeline(config))
    by_hand = PairRefinement(day_of, guide, refinement_settings({}))
    changed = 0
    for name, path in images.items():
        alone = stage(path)
        refined = by_hand(alone, path)
        how = manifest['images'][name]['alignment']
        assert how['changed'] == pytest.approx(by_hand.hows[path]['changed'], abs=1e-9)
        assert how['dark_confidence'] == pytest.approx(float(alone.max(0).mean()), abs=1e-6)
        changed += int((refined.argmax(0) != alone.argmax(0)).sum())
    assert changed > 0
    load_segmentor(config, 'guide.pth')
    arguments = words('gcma', tmp_path / 'out')
    assert label(monkeypatch, *[w.replace('guide=guide', 'guide=stage') for w in arguments]) == 2
    assert label(monkeypatch, *arguments, 'day_weight=0.5') == 2


@pytest.mark.parametrize(
    ('refine', 'sentence'),
    [
        (
            ['guide=guide.pth', f'pairs={PAIRS}', 'algin=filter'],
            'refine.algin is no setting: expected some of align, filter, ',
        ),
        (
            ['guide=gone.pth', f'pairs={PAIRS}'],
            "refine.guide: the checkpoint 'gone.pth' does not exist; name a .pth file of a finished training run",
        ),
        (['guide=guide.pth', 'pairs=gone.csv'], "The pair list 'gone.csv' does not exist: expected a CSV file; "),
        (['guide=guide.pth'], 'refine.pairs is not set: expected the list of the day images; add pairs=... to'),
        (
            ['align=filter'],
            'refine.guide is not set: expected the checkpoint of the unadapted network; add guide=... to --refine',
        ),
        (
            ['guide=guide.pth', 'pairs=dark_zurich/lists/zurich_dn_pair_train.csv'],
            "refine.pairs 'dark_zurich/lists/zurich_dn_pair_train.csv' names no day image for any of the 3 images, ",
        ),
        (
            ['guide=guide.pth', f'pairs={PAIRS}', 'align=geometry', 'depth_root=gone'],
            'refine.depth_root gone is no folder: ',
        ),
        (
            ['guide=guide.pth', f'pairs={PAIRS}', 'align=geometry', 'depth_root=dark_zurich'],
            'refine.depth_root dark_zurich has no depth of the day images: ',
        ),
        (
            ['guide=guide.pth', f'pairs={PAIRS}', 'sky_class=19'],
            'refine.sky_class names class 19, but the prediction has 19 classes: ',
        ),
    ],
)  # fmt: skip
def test_mistakes_end_before_anything_is_written(
    world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture,
    refine: list[str], sentence: str,
) -> None:  # fmt: skip
    monkeypatch.chdir(world)
    arguments = words('gcma', tmp_path / 'out')
    arguments = [*arguments[: arguments.index('--refine') + 1], *refine]
    assert label(monkeypatch, *arguments) == 2
    assert error_of(capsys).startswith(sentence)
    assert not (tmp_path / 'out').exists()


def test_a_day_image_is_found_wherever_the_data_lie(tmp_path: Path) -> None:
    pairs = tmp_path / 'pairs.csv'
    pairs.write_text('train/twilight/A/x,train/day/B/y\n')
    there = {
        'A/x_rgb_anon.png': '/data/dz/rgb_anon/train/twilight/A/x_rgb_anon.png',
        'z.png': '/data/z.png',
    }
    assert day_images(str(pairs), there) == {
        there['A/x_rgb_anon.png']: '/data/dz/rgb_anon/train/day/B/y_rgb_anon.png'
    }
    here = {'x': 'train/twilight/A/x.jpg'}
    assert day_images(str(pairs), here, '.jpg') == {here['x']: 'train/day/B/y.jpg'}
    with pytest.raises(
        UserInputError, match="without '.bmp'; correct refine.pairs or refine.suffix"
    ):
        day_images(str(pairs), here, '.bmp')
