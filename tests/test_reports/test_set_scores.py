"""Scores for a report against numpy and MMSegmentation's own test loop."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.runner import Runner
from mmseg.apis import init_model
from tool_project import VAL_STEMS, error_of, load_tool, make_project, run_tool
from written_run import ROWS, write_scores, write_start

from mmseg_ccdistill.reports.set_scores import find_scores, worst_images


def test_scores_are_found_wherever_a_tool_wrote_them(tmp_path: Path) -> None:
    (tmp_path / 'a').mkdir()
    write_scores(tmp_path / 'a')
    (tmp_path / 'scalars.json').write_text('{"a": 1}\n{"a": 2}')
    (tmp_path / 'list.json').write_text('[1]')
    (entry,) = find_scores(tmp_path)
    assert (entry['name'], entry['checkpoint']) == ('DZ-val', 'iter_4.pth')
    assert worst_images(entry, 2) == [('24.png', 76.0), ('23.png', 77.0)]
    assert worst_images({}) == []


@pytest.fixture(scope='module')
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = make_project(tmp_path_factory.mktemp('scores'))
    write_start(root / 'run', '20260102_030405', (root / 'source.py').read_text(), ROWS)
    return root


def test_a_run_is_tested_and_its_worst_images_are_drawn(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(project)
    tool = load_tool('tools/report.py')
    assert run_tool(tool, monkeypatch, 'run', '--evaluate', '--checkpoint', 'source.pth') == 0
    (entry,) = find_scores(Path('run'))
    expected = {}
    config = Config.fromfile('source.py')
    model = init_model(config, 'source.pth', device='cpu')
    for batch in Runner.build_dataloader(config.test_dataloader):
        with torch.no_grad():
            (sample,) = model.test_step(batch)
        stem = sample.img_path.split('night/')[-1].removesuffix('_rgb_anon.png')
        label = cv2.imread(
            f'data/dark_zurich/gt/val/night/{stem}_gt_labelTrainIds.png', cv2.IMREAD_UNCHANGED
        )
        guess = sample.pred_sem_seg.data[0].numpy()
        valid = label != 255
        ious = [
            np.sum((guess == k) & (label == k)) / np.sum(((guess == k) | (label == k)) & valid)
            for k in np.unique(label[valid])
        ]
        expected[sample.img_path] = 100 * float(np.mean(ious))
    measured = {image['image']: image['mIoU'] for image in entry['per_image']}
    assert len(measured) == len(VAL_STEMS)
    assert measured == pytest.approx(expected, abs=5e-5)
    assert entry['classes']['train']['label_pixels'] == 0
    text = Path('run/report.html').read_text()
    assert text.count('data:image/jpeg;base64,') == 2
    worst = cv2.imread('run/report/worst.jpg')
    assert worst is not None and worst.shape[1] > 4 * 300
    content = json.loads(Path('run/report/test_set.json').read_text())
    assert content['checkpoint'] == 'source.pth'


def test_a_run_without_ground_truth_cannot_be_tested(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys
) -> None:
    monkeypatch.chdir(project)
    text = (project / 'source.py').read_text().replace(", seg_map_path='gt/val/night'", '')
    run = tmp_path / 'blind'
    write_start(run, '20260102_030405', text, ROWS)
    tool = load_tool('tools/report.py')
    assert run_tool(tool, monkeypatch, run, '--evaluate', '--checkpoint', 'source.pth') == 2
    assert 'has no ground truth; leave --evaluate out' in error_of(capsys)
    shutil.rmtree(run)
    write_start(run, '20260102_030405', 'a = 1', ROWS)
    assert run_tool(tool, monkeypatch, run, '--evaluate', '--checkpoint', 'source.pth') == 2
    assert 'has no test_dataloader' in error_of(capsys)


def test_labels_without_a_pixel_of_a_class_are_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys
) -> None:
    root = make_project(tmp_path)
    write_start(root / 'run', '20260102_030405', (root / 'source.py').read_text(), ROWS)
    for path in (root / 'data/dark_zurich/gt/val/night').rglob('*_labelTrainIds.png'):
        cv2.imwrite(str(path), np.full_like(cv2.imread(str(path), cv2.IMREAD_UNCHANGED), 255))
    monkeypatch.chdir(root)
    tool = load_tool('tools/report.py')
    assert run_tool(tool, monkeypatch, 'run', '--evaluate', '--checkpoint', 'source.pth') == 2
    error = error_of(capsys)
    assert error.startswith('--evaluate: no label of the 3 images, e.g. of ')
    assert error.endswith(
        'has a pixel of the 19 classes, so there is no mIoU: expected trainIds; restore the labels, or leave '
        '--evaluate out'
    )
    assert not Path('run/report').exists() and not Path('run/report.html').exists()
