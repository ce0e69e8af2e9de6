"""NightIoUMetric against the scores that others compute: Cityscapes' own script and torchmetrics."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from mmseg.datasets import CityscapesDataset
from PIL import Image

from mmseg_ccdistill.evaluation import NightIoUMetric

CLASSES = CityscapesDataset.METAINFO['classes']
_IGNORE = 255


def make_maps(seed: int, classes: int, images: int = 3) -> list[tuple[np.ndarray, np.ndarray]]:
    """(prediction, label) of trainIds; some classes are never there, predictions are right half of the time."""
    generator = np.random.default_rng(seed)
    there = generator.choice(19, classes, replace=False)
    pairs = []
    for _ in range(images):
        label = generator.choice(there, (31, 53)).astype(np.uint8)
        wrong = generator.choice(there, label.shape).astype(np.uint8)
        prediction = np.where(generator.random(label.shape) < 0.5, label, wrong)
        label[generator.random(label.shape) < 0.1] = _IGNORE
        pairs.append((prediction, label))
    return pairs


def our_scores(pairs: list[tuple[np.ndarray, np.ndarray]]) -> NightIoUMetric:
    """The metric after an evaluation, with its report."""
    metric = NightIoUMetric(dataset_name='compared')
    metric.dataset_meta = dict(classes=CLASSES)
    for prediction, label in pairs:
        sample = dict(
            pred_sem_seg=dict(data=torch.from_numpy(prediction.astype(np.int64))[None]),
            gt_sem_seg=dict(data=torch.from_numpy(label.astype(np.int64))[None]),
            img_path='night.png',
        )
        metric.process({}, [sample])
    metric.evaluate(len(pairs))
    return metric


@pytest.mark.parametrize('classes', [19, 12, 2])
def test_cityscapes_script_has_the_same_scores_to_the_last_digit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, classes: int
) -> None:
    name = 'cityscapesscripts.evaluation.evalPixelLevelSemanticLabeling'
    monkeypatch.setenv('CITYSCAPES_DATASET', str(tmp_path))
    script = pytest.importorskip(name, reason='extra comparisons: cityscapesscripts')
    from cityscapesscripts.helpers.labels import labels

    train_to_id = {label.trainId: label.id for label in labels if 0 <= label.trainId < 19}
    table = np.zeros(256, np.uint8)  # ignored: unlabeled, id 0
    for train_id, label_id in train_to_id.items():
        table[train_id] = label_id
    pairs = make_maps(classes, classes)
    predictions, truths = [], []
    for index, (prediction, label) in enumerate(pairs):
        stem = f'ulm_{index:06d}_000019'
        predictions.append(str(tmp_path / f'{stem}.png'))
        truths.append(str(tmp_path / f'{stem}_gtFine_labelIds.png'))
        Image.fromarray(table[prediction]).save(predictions[-1])
        Image.fromarray(table[label]).save(truths[-1])
    for setting, value in dict(
        evalInstLevelScore=False, JSONOutput=False, quiet=True, evalPixelAccuracy=False
    ).items():
        monkeypatch.setattr(script.args, setting, value, raising=False)

    theirs = script.evaluateImgLists(predictions, truths, script.args)

    report = our_scores(pairs).report
    assert report is not None
    names = {label.trainId: label.name for label in labels if 0 <= label.trainId < 19}
    expected = np.array([theirs['classScores'][names[index]] for index in range(19)])
    there = ~np.isnan(expected)
    assert np.count_nonzero(there) == classes
    assert np.array_equal(~np.isnan(report.iou), there)
    # The script computes in float64 from 0 to 1, MMSegmentation and we in float32, in percent.
    ours = np.array(report.iou, np.float32)[there]
    np.testing.assert_array_max_ulp(ours, np.float32(100 * expected[there]), maxulp=2)
    printed = [f'{value:.2f}' for value in np.array(report.iou)[there]]
    assert printed == [f'{100 * value:.2f}' for value in expected[there]]
    assert f'{report.summary["mIoU"]:.2f}' == f'{100 * theirs["averageScoreClasses"]:.2f}'


@pytest.mark.parametrize('classes', [19, 12, 2])
def test_jaccard_index_of_torchmetrics_is_the_same(classes: int) -> None:
    torchmetrics = pytest.importorskip(
        'torchmetrics.classification', reason='extra comparisons: torchmetrics'
    )
    pairs = make_maps(100 + classes, classes)
    theirs = torchmetrics.MulticlassJaccardIndex(19, average='none', ignore_index=_IGNORE)
    for prediction, label in pairs:
        theirs.update(
            torch.from_numpy(prediction.astype(np.int64)),
            torch.from_numpy(label.astype(np.int64)),
        )
    expected = theirs.compute().double().numpy()
    report = our_scores(pairs).report
    assert report is not None
    ours = np.array(report.iou) / 100
    there = ~np.isnan(ours)
    assert np.count_nonzero(there) == classes
    # It computes in float32, and gives 0 to a class that is nowhere.
    np.testing.assert_allclose(ours[there], expected[there], rtol=3e-7)
    assert not expected[~there].any()
