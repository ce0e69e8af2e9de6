"""A labelling as a whole: its files, interrupted and continued, shared by two processes, and what it refuses."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
import torch.distributed as dist
from made_labels import CITYSCAPES
from mmengine.config import Config
from PIL import Image
from tool_project import NIGHTS, SIZE, make_project
from torch import Tensor
from two_ranks import run_two_ranks

from mmseg_ccdistill.engine.inference import load_segmentor, unlabelled_pipeline
from mmseg_ccdistill.engine.pseudo_labels import ThresholdRule, label_images
from mmseg_ccdistill.engine.pseudo_labels.label_folder import LabelFolder
from mmseg_ccdistill.errors import UserInputError

NAMES = [f'{stem}_rgb_anon.png' for stem in NIGHTS]
MEDIAN = ThresholdRule()


@pytest.fixture(scope='module')
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_project(tmp_path_factory.mktemp('labels'))


def label(files: Path, out: Path, rule: ThresholdRule = MEDIAN, **kwargs: Any) -> dict[str, Any]:
    """Label the nights of the project."""
    config = Config.fromfile(str(files / 'tiny.py'))
    model = load_segmentor(config, str(files / 'tiny.pth'))
    folder = files / 'data/dark_zurich/rgb_anon'
    images = {name: str(folder / name) for name in NAMES}
    settings = {**CITYSCAPES, 'rule': rule._asdict()}
    return label_images(
        model, unlabelled_pipeline(config), images, str(out), rule, settings, **kwargs
    )


def content(folder: Path) -> dict[str, bytes]:
    """Bytes by name."""
    found = sorted(path for path in folder.rglob('*') if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in found}


@pytest.fixture(scope='module')
def whole(files: Path) -> Path:
    """The labels of one run without a break."""
    label(files, files / 'whole')
    return files / 'whole'


def test_files_and_manifest(files: Path, whole: Path) -> None:
    assert content(whole).keys() == {*NAMES, 'manifest.json'}
    manifest = json.loads((whole / 'manifest.json').read_text())
    assert manifest['finished'] and list(manifest['images']) == NAMES
    counts = np.zeros(256, int)
    for name in NAMES:
        with Image.open(whole / name) as image:
            assert image.mode == 'L' and image.size == SIZE
            ids = np.asarray(image)
        # the label of each pixel at test size stands twice in each direction: nearest
        assert np.array_equal(ids, ids[::2, ::2].repeat(2, 0).repeat(2, 1))
        counts += np.bincount(ids.ravel(), minlength=256)
        entry = manifest['images'][name]
        assert entry['size'] == list(SIZE) and entry['status'] == 'labelled'
        assert entry['labelled'] == round(float((ids != 255).mean()), 6)
    assert list(manifest['pixels'].values()) == [*counts[:19], counts[255]]
    # at least half of a class is kept: the median is
    assert counts[255] <= counts.sum() / 2 and counts[255] > 0
    assert manifest['settings']['rule'] == dict(kind='median', value=None, quantile=0.5, cap=0.9)
    assert set(manifest['thresholds']) == set(CITYSCAPES['classes'])


def test_the_thresholds_are_those_of_all_images_together(files: Path, whole: Path) -> None:
    """Against the sorted confidences of the labelling that keeps all."""
    kept: list[Any] = []

    class Keeping(LabelFolder):
        """Keeps the predictions."""

        def write_draft(self, name: str, image: Any) -> None:
            kept.append(image.guess)
            super().write_draft(name, image)

    module = label_images.__globals__
    before = module['LabelFolder']
    module['LabelFolder'] = Keeping
    try:
        label(files, files / 'kept')
    finally:
        module['LabelFolder'] = before
    classes = np.concatenate([guess.classes.ravel() for guess in kept])
    confidence = np.concatenate([guess.confidence.ravel() for guess in kept])
    found = json.loads((whole / 'manifest.json').read_text())['thresholds']
    for k, threshold in enumerate(found.values()):
        x = np.sort(confidence[classes == k])
        assert threshold == (min(x[round(len(x) / 2)], np.float32(0.9)) if len(x) > 1 else 0)
    assert content(files / 'kept') == content(whole)


def test_without_a_threshold_every_pixel_has_a_label(files: Path) -> None:
    manifest = label(files, files / 'all', ThresholdRule('none'))
    assert manifest['pixels']['ignored'] == 0 and sum(manifest['pixels'].values()) == 3 * 96 * 64
    none = label(files, files / 'nothing', ThresholdRule('fixed', 1.0))
    assert none['pixels']['ignored'] == 3 * 96 * 64
    assert {entry['status'] for entry in none['images'].values()} == {'empty'}


class Killed(Exception):
    """Stands for a signal."""


def _kill_before(method: str, number: int, monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Let the n-th call of a method of the folder fail before it does anything."""
    calls = 0
    original = getattr(LabelFolder, method)

    def killed(self: LabelFolder, *arguments: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == number:
            raise Killed
        return original(self, *arguments)

    monkeypatch.setattr(LabelFolder, method, killed)
    return lambda: monkeypatch.setattr(LabelFolder, method, original)


@pytest.mark.parametrize(
    ('rule', 'method', 'number', 'predicted'),
    [
        (MEDIAN, 'write_draft', 1, 3),
        (MEDIAN, 'write_draft', 3, 1),
        (MEDIAN, 'write_label', 2, 0),
        (MEDIAN, 'finish', 1, 0),
        (ThresholdRule('none'), 'write_label', 2, 2),
    ],
)
def test_a_killed_labelling_goes_on_where_it_stopped(
    files: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    rule: ThresholdRule,
    method: str,
    number: int,
    predicted: int,
) -> None:
    label(files, tmp_path / 'whole', rule)
    restore = _kill_before(method, number, monkeypatch)
    with pytest.raises(Killed):
        label(files, tmp_path / 'out', rule)
    restore()
    assert not json.loads((tmp_path / 'out/manifest.json').read_text())['finished']
    seen: list[str] = []

    def refine(probabilities: Tensor, path: str) -> Tensor:
        seen.append(path)
        return probabilities

    label(files, tmp_path / 'out', rule, refine=refine)
    assert len(seen) == predicted
    assert content(tmp_path / 'out') == content(tmp_path / 'whole')


def test_a_finished_folder_is_left_alone(files: Path, whole: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in whole.rglob('*')}
    manifest = label(files, whole)
    assert manifest == json.loads((whole / 'manifest.json').read_text())
    assert before == {path: path.stat().st_mtime_ns for path in whole.rglob('*')}


def _one_of_two(rank: int, files: str, out: str) -> None:
    torch.set_num_threads(1)
    dist.init_process_group('gloo', init_method=f'file://{out}.rendezvous', rank=rank, world_size=2)
    label(Path(files), Path(out))
    dist.destroy_process_group()


def test_two_processes_write_the_same_bytes(files: Path, whole: Path, tmp_path: Path) -> None:
    run_two_ranks(_one_of_two, str(files), str(tmp_path / 'out'))
    assert content(tmp_path / 'out') == content(whole)


def test_two_processes_go_on_where_one_stopped(
    files: Path, whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    restore = _kill_before('write_draft', 2, monkeypatch)
    with pytest.raises(Killed):
        label(files, tmp_path / 'out')
    restore()
    run_two_ranks(_one_of_two, str(files), str(tmp_path / 'out'))
    assert content(tmp_path / 'out') == content(whole)


def test_a_class_that_takes_nearly_all_is_reported(
    files: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def sky(probabilities: Tensor, path: str) -> Tensor:
        return torch.eye(19)[10].view(19, 1, 1).expand_as(probabilities)

    messages: list[str] = []
    module = LabelFolder.finish.__globals__['_warn_of_largest'].__globals__
    before = module['print_log']
    module['print_log'] = lambda message, **_: messages.append(message)
    try:
        label(files, tmp_path / 'sky', refine=sky)
    finally:
        module['print_log'] = before
    assert messages == [
        "'sky' has 100.0% of the pseudo labels: look at some of them and at the checkpoint before you train on them"
    ]


def test_what_is_there_is_never_replaced(files: Path, whole: Path, tmp_path: Path) -> None:
    before = content(whole)
    with pytest.raises(UserInputError) as caught:
        label(files, whole, ThresholdRule('fixed', 0.5))
    assert str(caught.value) == (
        f'--out {str(whole)!r} holds labels of other settings (other rule): expected to go on with the same ones; name '
        'another folder, or remove this one'
    )
    assert content(whole) == before
    (tmp_path / 'mine').mkdir()
    (tmp_path / 'mine/notes.txt').write_text('x')
    for path in (tmp_path / 'mine', tmp_path / 'mine/notes.txt'):
        with pytest.raises(UserInputError) as caught:
            label(files, path)
        assert str(caught.value) == (
            f'--out {str(path)!r} exists and is no folder of pseudo labels: expected a new folder, or one to go on '
            'with; name another'
        )
    assert content(tmp_path / 'mine') == {'notes.txt': b'x'}


def test_a_finished_folder_without_a_file_is_refused(files: Path, tmp_path: Path) -> None:
    label(files, tmp_path / 'out')
    os.remove(tmp_path / 'out' / NAMES[1])
    with pytest.raises(UserInputError) as caught:
        label(files, tmp_path / 'out')
    assert str(caught.value) == (
        f'--out {str(tmp_path / "out")!r} is finished, but the label of {NAMES[1]!r} is missing: expected all of them; '
        'remove the folder and label again'
    )


def test_two_images_of_one_label_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UserInputError) as caught:
        LabelFolder(str(tmp_path / 'out'), ['a/1.png', 'a/1.jpg'], CITYSCAPES)
    assert str(caught.value) == (
        "the images 'a/1.png' and 'a/1.jpg' would have one label: expected a name of its own for every image; rename "
        'one'
    )


def test_an_image_that_cannot_be_read_is_named(files: Path, tmp_path: Path) -> None:
    project = make_project(tmp_path)
    path = project / 'data/dark_zurich/rgb_anon' / NAMES[1]
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(UserInputError, match=r'A_2_rgb_anon\.png.* cannot be read'):
        label(project, tmp_path / 'out')


def test_the_labels_are_what_a_reader_of_grey_images_gets(whole: Path) -> None:
    for name in NAMES:
        with Image.open(whole / name) as image:
            assert np.array_equal(
                np.asarray(image), cv2.imread(str(whole / name), cv2.IMREAD_UNCHANGED)
            )
