"""NightIoUMetric against IoUMetric, loops over pixels, and published lists of class IoUs."""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from mmengine.logging import MMLogger
from mmseg.datasets import CityscapesDataset
from mmseg.evaluation import IoUMetric
from mmseg.registry import METRICS
from PIL import Image

from mmseg_ccdistill.datasets import DatasetCheckError
from mmseg_ccdistill.evaluation import NightIoUMetric, published_rows
from mmseg_ccdistill.evaluation.night_iou_metric import read_invalid_mask

CLASSES = CityscapesDataset.METAINFO['classes']


def sample(prediction: np.ndarray, label: np.ndarray, **extra: object) -> dict:
    return dict(
        pred_sem_seg=dict(data=torch.from_numpy(prediction.astype(np.int64))[None]),
        gt_sem_seg=dict(data=torch.from_numpy(label.astype(np.int64))[None]),
        img_path='night.png',
        **extra,
    )


def run(metric: IoUMetric, samples: list[dict]) -> dict:
    metric.dataset_meta = dict(classes=CLASSES)
    for item in samples:
        metric.process({}, [item])
    return metric.evaluate(len(samples))


@pytest.fixture
def log(caplog) -> Iterator[pytest.LogCaptureFixture]:
    """What mmengine's logger says; it stands outside the tree of Python's loggers."""
    logger = MMLogger.get_current_instance()
    logger.addHandler(caplog.handler)
    yield caplog
    logger.removeHandler(caplog.handler)


def errors(log: pytest.LogCaptureFixture) -> str:
    return '\n'.join(r.getMessage() for r in log.records if r.levelno == logging.ERROR)


def random_samples(seed: int, count: int = 3, shape: tuple[int, int] = (23, 37)) -> list[dict]:
    """Maps where some classes are absent from the labels, the predictions or both."""
    rng = np.random.RandomState(seed)
    true = rng.choice(19, rng.randint(1, 19), replace=False)
    guessed = rng.choice(19, rng.randint(1, 19), replace=False)
    samples = []
    for _ in range(count):
        label = rng.choice([*true, 255], shape)
        prediction = np.where(rng.rand(*shape) < 0.6, label, rng.choice(guessed, shape))
        prediction[prediction == 255] = guessed[0]
        samples.append(sample(prediction, label))
    return samples


def by_sets(samples: list[dict]) -> tuple[dict[int, float], set[int]]:
    """IoU of every class that occurs anywhere, from sets of pixels; and the classes with labels."""
    true: dict[int, set] = {c: set() for c in range(19)}
    guessed: dict[int, set] = {c: set() for c in range(19)}
    for index, item in enumerate(samples):
        labels = item['gt_sem_seg']['data'][0].numpy()
        predictions = item['pred_sem_seg']['data'][0].numpy()
        for (y, x), value in np.ndenumerate(labels):
            if value != 255:
                true[int(value)].add((index, y, x))
                guessed[int(predictions[y, x])].add((index, y, x))
    iou = {
        c: len(true[c] & guessed[c]) / len(true[c] | guessed[c])
        for c in range(19)
        if true[c] | guessed[c]
    }
    return iou, {c for c in range(19) if true[c]}


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 2**31 - 1))
def test_scores_equal_those_of_iou_metric_and_of_sets_of_pixels(seed) -> None:
    samples = random_samples(seed)
    metric = NightIoUMetric()
    found = run(metric, samples)
    reference = run(IoUMetric(), samples)
    for key in ('aAcc', 'mIoU', 'mAcc'):
        assert found[key] == reference[key], key  # to the last digit
    iou, present = by_sets(samples)
    assert found['mIoU'] == pytest.approx(100 * np.mean(list(iou.values())), abs=0.0051)
    expected = 100 * np.mean([iou[c] for c in present])
    assert found['mIoU_present'] == pytest.approx(expected, abs=0.0051)
    for c, value in enumerate(metric.report.iou):
        assert value == pytest.approx(100 * iou[c], rel=1e-6) if c in iou else math.isnan(value)


def test_every_digit_survives_two_billion_pixels() -> None:
    """Sums beyond the integers of float32 round as in IoUMetric, which adds image by image."""
    samples = [random_samples(seed, 1, (300, 400))[0] for seed in range(2)]
    found, reference = NightIoUMetric(), IoUMetric()
    for metric in (found, reference):
        metric.dataset_meta = dict(classes=CLASSES)
        for item in samples:
            metric.process({}, [item])
    found.results *= 9000
    reference.results *= 9000
    a, b = found.compute_metrics(found.results), reference.compute_metrics(reference.results)
    assert {key: a[key] for key in b} == b


def test_other_scores_of_iou_metric_are_kept() -> None:
    samples = random_samples(4)
    names = ['mIoU', 'mDice', 'mFscore']
    found = run(NightIoUMetric(iou_metrics=names, nan_to_num=0), samples)
    reference = run(IoUMetric(iou_metrics=names, nan_to_num=0), samples)
    assert {key: found[key] for key in reference} == reference
    with pytest.raises(ValueError, match="expected 'mIoU' among them"):
        NightIoUMetric(iou_metrics=['mDice'])


@pytest.mark.parametrize(
    'row',
    [row for row in published_rows() if row.get('per_class')],
    ids=lambda row: f'{row["method"]} {row["set"]}',
)
def test_a_published_list_of_class_ious_gives_the_published_mean(row) -> None:
    """Maps that have the published class IoUs score the published mIoU.

    Of each present class 10,000 pixels are labelled and 10,000 IoU of them hit; the misses go to
    road, of which as many pixels are hit as make its IoU right; absent classes take a miss each.
    """
    absent = row.get('absent', [])
    iou = {name: value / 100 for name, value in row['per_class'].items()}
    labels, predictions = [], []
    for c, name in enumerate(CLASSES):
        if c > 0 and name not in absent:
            hits = round(10000 * iou[name])
            labels.append(np.full(10000, c))
            predictions.append(np.repeat([c, 0], [hits, 10000 - hits]))
    label, prediction = np.concatenate(labels), np.concatenate(predictions)
    misses = np.flatnonzero(prediction == 0)
    for index, name in zip(misses, absent, strict=False):
        prediction[index] = CLASSES.index(name)
    num_road = round(iou['road'] / (1 - iou['road']) * (len(misses) - len(absent)))
    label = np.concatenate([label, np.zeros(num_road, int)])[None]
    prediction = np.concatenate([prediction, np.zeros(num_road, int)])[None]

    metric = NightIoUMetric(dataset_name=row['set'])
    found = run(metric, [sample(prediction, label)])
    digits = len(str(row['mIoU']).partition('.')[2])
    assert round(float(found['mIoU']), digits) == row['mIoU']
    for name, value in zip(CLASSES, metric.report.iou, strict=True):
        assert value == pytest.approx(row['per_class'][name], abs=0.0051)
    kept = [value for name, value in row['per_class'].items() if name not in absent]
    assert found['mIoU_present'] == pytest.approx(np.mean(kept), abs=0.0101)
    assert set(metric.report.absent) == set(absent)


def test_the_reading_of_absent_classes_is_logged(log) -> None:
    """Road hit, sidewalk missed as train: train is absent but predicted, 16 classes are neither."""
    label = np.array([[0, 0, 1, 255]])
    metric = NightIoUMetric(dataset_name='DZ-val', expected_images=50)
    found = run(metric, [sample(np.array([[0, 0, 16, 16]]), label)])
    assert round(float(found['mIoU']), 2) == 33.33 and found['mIoU_present'] == 50
    text = log.text
    assert 'DZ-val (1 of 50): Absent in the ground truth, but predicted: train.' in text
    assert 'never predicted: building, wall,' in text
    assert 'mean over 3 classes' in text and 'mIoU_present over the 2' in text
    assert '| train | 0.00 absent |' in text and '| road | 100.00 | 100.00 | 2 |' in text


@pytest.mark.parametrize('wrong', [19, 33, 254, 300, -1])
def test_ground_truth_with_other_ids_is_an_error_that_names_the_file(wrong) -> None:
    label = np.array([[0, 1, 255, wrong]])
    item = sample(np.zeros((1, 4)), label, seg_map_path='gt/x_labelIds.png')
    with pytest.raises(
        DatasetCheckError, match=rf"'gt/x_labelIds.png' holds the (ids|values) .*{wrong}"
    ):
        run(NightIoUMetric(), [item])


def test_an_8_bit_label_with_other_ids_names_them() -> None:
    item = sample(np.zeros((1, 4)), np.zeros((1, 4)), seg_map_path='x.png')
    item['gt_sem_seg']['data'] = torch.tensor([[[7, 33, 26, 255]]], dtype=torch.uint8)
    with pytest.raises(DatasetCheckError) as info:
        run(NightIoUMetric(), [item])
    assert str(info.value) == (
        "The label 'x.png' holds the values 26, 33, which look like labelIds: expected class ids 0..18 and 255 "
        '(ignore) in one channel (trainIds); convert it to trainIds or correct seg_map_suffix.'
    )


def test_sizes_and_classes_must_agree() -> None:
    with pytest.raises(DatasetCheckError, match=r'shape \(2, 4\), its prediction \(1, 4\)'):
        run(NightIoUMetric(), [sample(np.zeros((1, 4)), np.zeros((2, 4)))])
    with pytest.raises(ValueError, match='prediction .* holds the ids 0 to 19: expected 0 to 18'):
        run(NightIoUMetric(), [sample(np.array([[0, 19]]), np.zeros((1, 2)))])


@pytest.mark.parametrize('bad', [float('nan'), float('inf')])
def test_scores_that_are_not_finite_cannot_pass_for_a_low_score(log, tmp_path, bad) -> None:
    logits = torch.zeros(19, 2, 2)
    good = sample(np.zeros((2, 2)), np.zeros((2, 2)), seg_logits=dict(data=logits))
    broken = sample(np.zeros((2, 2)), np.zeros((2, 2)), seg_logits=dict(data=logits.clone()))
    broken['seg_logits']['data'][3, 1, 1] = bad
    broken['img_path'] = 'broken.png'
    found = run(NightIoUMetric(report_dir=str(tmp_path)), [good, broken])
    assert all(math.isnan(value) for value in found.values())
    assert '1 of 2 images are not finite (first: broken.png)' in errors(log)
    content = json.loads((tmp_path / 'night.json').read_text())['sets'][0]
    assert content['summary']['mIoU'] is None and 'mIoU' in content['non_finite']
    assert '| mIoU | nan |' in (tmp_path / 'night.md').read_text()


def test_a_set_without_a_labelled_pixel_is_nan_and_said(log) -> None:
    found = run(NightIoUMetric(), [sample(np.zeros((2, 2)), np.full((2, 2), 255))])
    assert math.isnan(found['mIoU']) and math.isnan(found['mIoU_present'])
    assert 'Not finite: aAcc, mIoU' in errors(log)


def write_night(folder: Path, seed: int, shape: tuple[int, int] = (12, 16)) -> dict:
    """A label file with its mask, and scores for it."""
    rng = np.random.RandomState(seed)
    label = rng.choice([0, 2, 10, 13, 255], shape).astype(np.uint8)
    path = folder / f'{seed}_gt_labelTrainIds.png'
    Image.fromarray(label).save(path)
    Image.fromarray((rng.rand(*shape) < 0.3).astype(np.uint8)).save(
        folder / f'{seed}_gt_invIds.png'
    )
    logits = torch.from_numpy(rng.standard_normal((19, *shape)) * 3).float()
    y, x = np.mgrid[: shape[0], : shape[1]]
    logits[label.astype(np.int64) % 19, y, x] += 4
    prediction = logits.argmax(0).numpy()
    return sample(prediction, label, seg_logits=dict(data=logits), seg_map_path=str(path))


def test_uiou_where_masks_exist(tmp_path) -> None:
    samples = [write_night(tmp_path, seed) for seed in range(3)]
    metric = NightIoUMetric(uiou_threshold=0.0)
    found = run(metric, samples)
    assert found['mUIoU'] == pytest.approx(found['mIoU'], abs=1e-4)  # nothing is rejected
    assert metric.report.uiou == pytest.approx(metric.report.iou, rel=1e-5, nan_ok=True)

    found = run(NightIoUMetric(uiou_threshold=0.7), samples)
    hits, unions = np.zeros(19), np.zeros(19)
    areas = [np.zeros((19, 2)) for _ in range(100)]
    thresholds = np.linspace(1 / 19, 1, 100).astype(np.float32)
    for item in samples:
        label = item['gt_sem_seg']['data'][0].numpy()
        path = item['seg_map_path'].replace('_gt_labelTrainIds', '_gt_invIds')
        invalid = np.array(Image.open(path)) == 1
        confidence, prediction = item['seg_logits']['data'].softmax(0).max(0)
        confidence, prediction = confidence.numpy(), prediction.numpy()
        for threshold, (hit, union) in [
            (np.float32(0.7), (hits, unions)),
            *((t, a.T) for t, a in zip(thresholds, areas, strict=True)),
        ]:
            rejected = confidence < threshold
            guess = np.where(rejected, -1, prediction)
            for c in range(19):
                truth = label == c
                right = (truth & (guess == c)) | (truth & rejected & invalid)
                hit[c] += right.sum()
                union[c] += ((truth | (guess == c)) & (label != 255)).sum()
    with np.errstate(invalid='ignore'):
        assert found['mUIoU'] == pytest.approx(100 * np.nanmean(hits / unions), abs=0.0051)
        means = [100 * np.nanmean(a[:, 0] / a[:, 1]) for a in areas]
    # float32 softmax in two orders of summation may put a pixel on either side of a threshold
    assert found['mAUIoU'] == pytest.approx(np.mean(means), abs=0.05)


def test_the_headline_never_looks_at_the_masks(tmp_path) -> None:
    samples = [write_night(tmp_path, 0)]
    with_masks = run(NightIoUMetric(), samples)
    without = run(NightIoUMetric(with_uiou=False), samples)
    assert 'mUIoU' not in without
    assert all(with_masks[key] == value for key, value in without.items())
    assert all(with_masks[key] == value for key, value in run(IoUMetric(), samples).items())


def test_no_uiou_if_one_mask_is_missing_or_the_scores_are_of_another_prediction(tmp_path) -> None:
    samples = [write_night(tmp_path, seed) for seed in range(2)]
    (tmp_path / '1_gt_invIds.png').unlink()
    metric = NightIoUMetric()
    assert 'mUIoU' not in run(metric, samples)
    assert metric.report.notes[-1] == 'No UIoU: 1 of 2 images have no invalid mask.'
    other = samples[0]['pred_sem_seg']['data']
    other[:] = (other + 1) % 19
    assert 'mUIoU' not in run(metric, samples[:1])
    assert 'test-time augmentation' in metric.report.notes[-1]


def test_a_mask_with_other_values_is_an_error(tmp_path) -> None:
    item = write_night(tmp_path, 0)
    path = tmp_path / '0_gt_invIds.png'
    Image.fromarray(np.full((12, 16), 128, np.uint8)).save(path)
    with pytest.raises(DatasetCheckError, match=r'invIds.png.* holds the values \[128\]'):
        run(NightIoUMetric(), [item])
    Image.fromarray(np.zeros((6, 8), np.uint8)).save(path)
    with pytest.raises(DatasetCheckError, match=r'shape \(6, 8\), its label \(12, 16\)'):
        run(NightIoUMetric(), [item])


def test_a_mask_that_cannot_be_read_is_named(tmp_path) -> None:
    path = tmp_path / 'a_gt_invIds.png'
    path.write_bytes(b'no picture')
    with pytest.raises(DatasetCheckError) as info:
        read_invalid_mask(str(path), (1, 3))
    assert str(info.value) == (
        f'The invalid mask {str(path)!r} cannot be read (no image header): expected a whole PNG or JPEG image; copy '
        'or download it again.'
    )


def test_255_in_a_mask_is_valid(tmp_path) -> None:
    path = tmp_path / 'a_gt_invIds.png'
    Image.fromarray(np.array([[0, 1, 255]], np.uint8)).save(path)
    assert read_invalid_mask(str(path), (1, 3)).tolist() == [[False, True, False]]


def test_a_mask_whose_indices_show_other_greys_is_an_error(tmp_path) -> None:
    path = tmp_path / 'a_gt_invIds.png'
    mask = Image.fromarray(np.array([[0, 1, 1]], np.uint8)).convert('L')
    mask.putpalette([0, 0, 0, 1, 1, 1])
    mask.save(path)
    assert read_invalid_mask(str(path), (1, 3)).tolist() == [[False, True, True]]
    mask.putpalette([1, 1, 1, 0, 0, 0])  # 1, invalid, is the index 0 now
    mask.save(path)
    with pytest.raises(DatasetCheckError, match='expected every index to be its own grey'):
        read_invalid_mask(str(path), (1, 3))
    Image.fromarray(np.array([[0, 255, 255]], np.uint8)).convert('1').save(path)
    with pytest.raises(DatasetCheckError, match='expected every index to be its own grey'):
        read_invalid_mask(str(path), (1, 3))


def test_predictions_of_one_name_keep_their_folders(tmp_path) -> None:
    items = [sample(np.full((4, 4), value), np.zeros((4, 4))) for value in (3, 7)]
    for folder, item in zip('ab', items, strict=True):
        item['img_path'] = str(tmp_path / f'images/{folder}/0.png')
    for options in ({}, {'format_only': True}):
        out = tmp_path / f'out{len(options)}'
        metric = NightIoUMetric(output_dir=str(out), image_root=str(tmp_path / 'images'), **options)
        metric.dataset_meta = dict(classes=CLASSES)
        metric.process({}, items)
        assert [int(np.array(Image.open(out / f'{name}/0.png')).max()) for name in 'ab'] == [3, 7]
        metric = NightIoUMetric(output_dir=str(out), **options)
        metric.dataset_meta = dict(classes=CLASSES)
        with pytest.raises(ValueError, match='would have one prediction'):
            metric.process({}, items)


def test_files_of_predictions_and_of_the_report(tmp_path) -> None:
    prediction = np.random.RandomState(0).randint(0, 19, (6, 8))
    config = dict(
        type='NightIoUMetric',
        dataset_name='DZ-val',
        output_dir=str(tmp_path / 'labelTrainIds'),
        report_dir=str(tmp_path / 'report'),
    )
    run(METRICS.build(config), [sample(prediction, prediction)])
    written = np.array(Image.open(tmp_path / 'labelTrainIds/night.png'))
    np.testing.assert_array_equal(written, prediction)
    content = json.loads((tmp_path / 'report/DZ-val.json').read_text())
    assert content['sets'][0]['set'] == 'DZ-val (1)'
    assert content['sets'][0]['classes']['road']['IoU'] == 100
    text = (tmp_path / 'report/DZ-val.md').read_text()
    assert 'Published mIoU on DZ-test (151 images, another set)' in text


def test_format_only_writes_files_without_ground_truth(tmp_path) -> None:
    item = sample(np.full((4, 4), 18), np.zeros((4, 4)))
    del item['gt_sem_seg']
    metric = METRICS.build(
        dict(type='NightIoUMetric', format_only=True, output_dir=str(tmp_path / 'out'))
    )
    metric.dataset_meta = dict(classes=CLASSES)
    metric.process({}, [item])
    assert metric.compute_metrics(metric.results) == {}
    assert np.array(Image.open(tmp_path / 'out/night.png')).tolist() == [[18] * 4] * 4


def test_what_is_collected_from_other_ranks_is_what_was_kept(tmp_path) -> None:
    """Ranks exchange pickled results, and mmengine turns named tuples into plain ones."""
    from mmengine.evaluator.metric import _to_cpu

    samples = [write_night(tmp_path, seed) for seed in range(2)]
    metric = NightIoUMetric()
    metric.dataset_meta = dict(classes=CLASSES)
    metric.process({}, samples)
    assert metric.compute_metrics(_to_cpu(metric.results)) == metric.compute_metrics(metric.results)
