"""Rare class sampling: probabilities, empirical frequencies, crops that show the class, the cache."""

from __future__ import annotations

from itertools import islice
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from mmseg.registry import DATA_SAMPLERS, DATASETS
from tiny_data import make_cityscapes, make_dark_zurich, source_config

from mmseg_ccdistill.datasets import (
    CrossDomainDataset,
    Draw,
    DrawnDataset,
    DrawSampler,
    class_pixels,
)
from mmseg_ccdistill.datasets.rare_classes import (
    RareClasses,
    WantedClass,
    class_probabilities,
    fetch_wanted,
)
from mmseg_ccdistill.models.losses import CITYSCAPES_FREQUENCIES

F = np.array(CITYSCAPES_FREQUENCIES)
ALL = np.ones(19, dtype=bool)


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path / 'cache'))
    return tmp_path / 'cache/mmseg_ccdistill'


def test_probabilities_of_cityscapes() -> None:
    p = class_probabilities(F, 0.01, ALL)
    assert p[[0, 1, 2, 8]].max() <= 0.0003
    names = dict(light=6, rider=12, motorcycle=17, train=16, car=13)
    expected = dict(light=0.1011, rider=0.1087, motorcycle=0.1127, train=0.0986, car=0.0001)
    for name, k in names.items():
        assert p[k] == pytest.approx(expected[name], abs=5e-5), name
    assert p[11:].sum() == pytest.approx(0.6328, abs=5e-5)


@pytest.mark.parametrize(
    ('temperature', 'things', 'spread'), [(0.05, 0.5322, 1.56e3), (0.1, 0.5052, 39.5)]
)
def test_warmer_is_more_even(temperature: float, things: float, spread: float) -> None:
    p = class_probabilities(F, temperature, ALL)
    assert p[11:].sum() == pytest.approx(things, abs=5e-5)
    assert p.max() / p.min() == pytest.approx(spread, rel=5e-3)
    if temperature == 0.05:
        assert p[13] == pytest.approx(0.0194, abs=5e-5)


def test_a_class_that_no_image_has_is_never_chosen() -> None:
    pixels = np.array([[900, 0, 100, 20], [900, 0, 0, 60]])
    rare = RareClasses(pixels, temperature=1.0, min_pixels=50)
    assert rare.probabilities[1] == 0 and rare.probabilities.sum() == pytest.approx(1.0)
    chosen = [rare.choose(0, n) for n in range(500)]
    assert {wanted.class_id for _, wanted in chosen} == {0, 2, 3}
    assert {index for index, wanted in chosen if wanted.class_id == 2} == {0}
    assert {index for index, wanted in chosen if wanted.class_id == 3} == {1}  # 20 are too few
    assert {index for index, wanted in chosen if wanted.class_id == 0} == {0, 1}


def test_empirical_frequencies() -> None:
    pixels = np.tile((1e7 * F).astype(np.int64), (3, 1))
    rare = RareClasses(pixels, temperature=0.05)
    draws = 100_000
    found = np.bincount([rare.choose(1, n)[1].class_id for n in range(draws)], minlength=19)
    p = rare.probabilities
    assert (np.abs(found - draws * p) <= 3.5 * np.sqrt(draws * p * (1 - p)) + 1).all()


def test_crops_are_tried_until_they_show_the_class_and_no_longer() -> None:
    shown = iter([0, 40, 50, 51, 99])

    def fetch() -> tuple[dict[str, Any], list[str]]:
        count = next(shown)
        return dict(gt_seg_map=np.repeat([7, 1], [count, 200 - count]), count=count), ['a.png']

    sample, bad = fetch_wanted(fetch, WantedClass(7, 50, 10))
    assert sample['count'] == 51 and bad == ['a.png']
    calls: list[int] = []

    def never() -> tuple[dict[str, Any], list[str]]:
        calls.append(1)
        return dict(gt_seg_map=np.zeros(9), call=len(calls)), []

    assert fetch_wanted(never, WantedClass(7, 50, 10))[0]['call'] == len(calls) == 10
    assert fetch_wanted(never, None)[0]['call'] == 11
    assert fetch_wanted(never, WantedClass(7, 50, 1))[0]['call'] == 12


@pytest.fixture
def source(tmp_path: Path) -> dict:
    """Class 18 in the last image alone, in one corner."""
    root = make_cityscapes(tmp_path / 'cs')
    for index in range(5):
        label = np.zeros((40, 80), np.uint8)
        label[:, 40:] = 255
        if index == 4:
            label[:16, :16] = 18
        stem = f'gtFine/train/ulm/ulm_{index:06d}_000019_gtFine_labelTrainIds.png'
        assert cv2.imwrite(str(root / stem), label)
    return source_config(root)


def test_labels_are_counted_once(
    source: dict, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset = DATASETS.build(source)
    counts = class_pixels(dataset)
    expected = np.zeros((5, 19), np.int64)
    expected[:, 0] = 1600
    expected[4, [0, 18]] = 1600 - 256, 256
    assert counts.dtype == np.int64 and np.array_equal(counts, expected)
    (file,) = cache.iterdir()
    reads: list[str] = []
    from mmcv.transforms import LoadAnnotations

    plain = LoadAnnotations.transform
    monkeypatch.setattr(
        LoadAnnotations,
        'transform',
        lambda self, r: reads.append(r['seg_map_path']) or plain(self, r),
    )
    assert np.array_equal(class_pixels(dataset), expected) and not reads
    path = dataset.get_data_info(0)['seg_map_path']
    assert cv2.imwrite(path, np.full((40, 80), 2, np.uint8))
    assert class_pixels(dataset)[0, 2] == 3200  # a changed file is seen
    for other in cache.iterdir():
        other.write_bytes(b'not ours')
    assert class_pixels(dataset)[4, 18] == 256
    assert file.exists()


def test_an_unreadable_or_missing_label_is_named(source: dict) -> None:
    dataset = DATASETS.build(source)
    path = dataset.get_data_info(2)['seg_map_path']
    Path(path).write_bytes(b'no image')
    with pytest.raises(ValueError, match='000002_000019_gtFine_labelTrainIds'):
        class_pixels(dataset)
    source['data_prefix'] = dict(img_path=source['data_prefix']['img_path'])
    with pytest.raises(ValueError) as caught:
        class_pixels(DATASETS.build(source))
    assert str(caught.value).endswith(
        'has no label: expected one for each source image, because rare classes are counted in them; set '
        'data_prefix.seg_map_path of the source.'
    )


def test_sampler_and_datasets_together(source: dict, tmp_path: Path) -> None:
    make_dark_zurich(tmp_path / 'dz')
    target = dict(
        type='DarkZurichPairDataset', data_root=str(tmp_path / 'dz'),
        data_prefix=dict(img_path='rgb_anon'), ann_file='lists/zurich_dn_pair_train.csv',
        pipeline=[dict(type='LoadImageFromFile'), dict(type='Resize', scale=(32, 32), keep_ratio=False)],
    )  # fmt: skip
    rare = dict(temperature=0.05, min_pixels=100, crop_ratio=0.5, tries=30)
    config = dict(type='DrawSampler', seed=3, rare_classes=rare)
    packed = dict(source, pipeline=[*source['pipeline'], dict(type='PackSegInputs')])
    for dataset in (
        CrossDomainDataset(source, target, [dict(type='PackCrossDomainInputs')]),
        DrawnDataset(packed),
    ):
        sampler = DATA_SAMPLERS.build(dict(config), default_args=dict(dataset=dataset))
        draws = list(islice(sampler, 12))
        wanted = [draw for draw in draws if draw.wanted.class_id == 18]
        assert wanted and {draw.index for draw in wanted} == {4}
        shares = [draw.wanted.class_id for draw in draws].count(18)
        assert shares > 6  # of 8000 pixels 256 are of that class
        for draw in wanted[:3]:
            sample = dataset[draw]['data_samples']
            sample = sample.get('source_day') if isinstance(sample, dict) else sample
            assert (sample.gt_sem_seg.data == 18).sum() > 50
        again = dataset[wanted[0]]['inputs']
        first = dataset[wanted[0]]['inputs']
        pairs = (
            [(again[k], first[k]) for k in first] if isinstance(first, dict) else [(again, first)]
        )
        assert all((a == b).all() for a, b in pairs)


def test_resuming_and_ranks_are_those_of_numbered_draws(source: dict) -> None:
    dataset = DrawnDataset(source)
    sampler = DrawSampler(dataset, seed=3, rare_classes=dict(min_pixels=100, temperature=1.0))
    whole = list(islice(sampler, 20))
    assert [draw.number for draw in whole] == list(range(20))
    sampler.skip(8)
    assert list(islice(sampler, 12)) == whole[8:]
    other = DrawSampler(dataset, seed=4, rare_classes=dict(min_pixels=100, temperature=1.0))
    assert [draw.index for draw in islice(other, 20)] != [draw.index for draw in whole]


def test_off_by_default(source: dict) -> None:
    draws = list(islice(DrawSampler(DrawnDataset(source), seed=0), 5))
    assert [draw.wanted for draw in draws] == [None] * 5
    assert [tuple(draw[:3]) for draw in draws] == [(d, n, 0) for n, d in enumerate([3, 1, 4, 0, 2])]
    assert draws[0] == Draw(3, 0, 0)


@pytest.mark.parametrize(
    ('settings', 'sentence'),
    [
        (
            dict(temperature=0),
            'train_dataloader.sampler.rare_classes.temperature must be positive, got 0.',
        ),
        (
            dict(min_pixels=-1),
            'train_dataloader.sampler.rare_classes: min_pixels and crop_ratio must not be negative, got -1 and 0.5.',
        ),
        (
            dict(tries=0),
            'train_dataloader.sampler.rare_classes.tries must be an integer from 1 on, got 0.',
        ),
        (
            dict(min_pixels=1600),
            'train_dataloader.sampler.rare_classes.min_pixels=1600: no source image has more than so many pixels of '
            'any class (the most are 1600): expected a number below that; lower it.',
        ),
    ],
)
def test_settings_out_of_range(source: dict, settings: dict, sentence: str) -> None:
    with pytest.raises(ValueError) as caught:
        DrawSampler(DrawnDataset(source), seed=0, rare_classes=settings)
    assert str(caught.value) == sentence


def test_a_slip_in_a_name_is_told(source: dict) -> None:
    with pytest.raises(
        ValueError, match='expected some of temperature, min_pixels, crop_ratio and tries'
    ):
        DrawSampler(DrawnDataset(source), seed=0, rare_classes=dict(temprature=0.1))
