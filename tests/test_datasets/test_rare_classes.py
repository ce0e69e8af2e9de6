"""Rare class sampling: probabilities, empirical frequencies, crops that show the class, the cache."""

from __future__ import annotations

import math
import shutil
from itertools import islice
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from mmcv.transforms import BaseTransform, LoadImageFromFile, RandomFlip
from mmengine.registry import init_default_scope
from mmseg.datasets.transforms import LoadAnnotations
from mmseg.registry import DATA_SAMPLERS, DATASETS
from tiny_data import make_cityscapes, make_dark_zurich, source_config, target_config

from mmseg_ccdistill.curation.caching import fill_cache, list_images, prepare_cache
from mmseg_ccdistill.datasets import (
    CrossDomainDataset,
    Draw,
    DrawnDataset,
    DrawSampler,
    class_pixels,
    cross_domain,
    drawn,
    rare_classes,
)
from mmseg_ccdistill.datasets.file_check import leaf_datasets
from mmseg_ccdistill.datasets.rare_classes import (
    RareClasses,
    WantedClass,
    class_probabilities,
    fetch_wanted,
)
from mmseg_ccdistill.datasets.transforms.cached_image import LoadCachedImage
from mmseg_ccdistill.models.losses import CITYSCAPES_FREQUENCIES
from mmseg_ccdistill.runtime.random_state import get_random_state, same_random_state

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
    found = np.bincount([rare.choose(0, n)[1].class_id for n in range(draws)], minlength=19)
    p = rare.probabilities
    assert (np.abs(found - draws * p) <= 3 * np.sqrt(draws * p * (1 - p))).all()


def test_crops_are_tried_until_they_show_the_class_and_no_longer() -> None:
    shown = iter([0, 40, 50, 51, 99])

    def fetch() -> tuple[dict[str, Any], list[str]]:
        count = next(shown)
        return dict(gt_seg_map=np.repeat([7, 1], [count, 200 - count]), count=count), ['a.png']

    sample, bad = fetch_wanted(fetch, WantedClass(7, 50, 10), None)
    assert sample['count'] == 51 and bad == ['a.png']
    calls: list[int] = []

    def never() -> tuple[dict[str, Any], list[str]]:
        calls.append(1)
        return dict(gt_seg_map=np.zeros(9), call=len(calls)), []

    assert fetch_wanted(never, WantedClass(7, 50, 10), None)[0]['call'] == len(calls) == 10
    assert fetch_wanted(never, None, None)[0]['call'] == 11
    assert fetch_wanted(never, WantedClass(7, 50, 1), None)[0]['call'] == 12


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


def as_before(fetch: Any, wanted: WantedClass | None, _: Any) -> Any:
    """Every try loads its files."""
    for _try in range(0 if wanted is None else wanted.tries - 1):
        found = fetch()
        if rare_classes._pixels(found[0], wanted.class_id) > wanted.min_pixels:
            return found
    return fetch()


class Darken(BaseTransform):
    """Draws, and writes into the image and the label that it gets."""

    def transform(self, results: dict) -> dict:
        results['img'] //= np.random.randint(1, 4)
        results['gt_seg_map'][results['gt_seg_map'] == 2] = 255
        results['seen'] = results.get('seen', 0) + 1
        return results


def same(one: Any, other: Any) -> bool:
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[k], other[k]) for k in one)
    return bool(np.array_equal(one, other))


CROP = [
    dict(type='RandomResize', scale=(80, 40), ratio_range=(0.9, 1.5), keep_ratio=True),
    dict(type='RandomCrop', crop_size=(16, 16)),
    dict(type='RandomFlip', prob=0.5),
    dict(type='PhotoMetricDistortion'),
]
LOAD = [dict(type='LoadImageFromFile'), dict(type='LoadAnnotations')]


def sources(source: dict, root: Path) -> dict[str, Any]:
    """Data sets whose samples are tried several times, by what is special about them."""
    steps = [*LOAD, dict(type='RecordLABStatistics')]
    shutil.copytree(root / 'cs/leftImg8bit', root / 'cs/night')
    nights = dict(source['data_prefix'], night_path='night/train')
    translated = dict(source, type='TranslatedCityscapesDataset', data_prefix=nights)
    cache = prepare_cache(root / 'cs', root / 'pixels', 'png')
    fill_cache(cache, list_images(root / 'cs'))
    cached = [dict(type='LoadCachedImage', cache=str(root / 'pixels')), *steps[1:]]
    whole = dict(source, pipeline=[*steps, *CROP])
    shutil.copytree(root / 'cs', root / 'broken')
    for path in sorted((root / 'broken/leftImg8bit').rglob('*.png'))[1:3]:
        path.write_bytes(b'no image')
    broken = dict(whole, data_root=str(root / 'broken'))
    make_dark_zurich(root / 'dz')
    target = target_config(root / 'dz')
    target['pipeline'].insert(1, steps[2])
    both = dict(type='CrossDomainDataset', source=whole, target=target)
    return {
        'source and target': dict(both, pipeline=[dict(type='LABTransfer', stats='full')]),
        'packed': dict(whole, pipeline=[*whole['pipeline'], dict(type='PackSegInputs')]),
        'a step that writes into what it gets': dict(whole, pipeline=[*steps, Darken(), *CROP]),
        'two images of one draw': dict(translated, pipeline=[*steps, *CROP]),
        'a cache': dict(whole, pipeline=[*cached, *CROP]),
        'several sets': dict(type='ConcatDataset', datasets=[whole, dict(whole)]),
        'files that cannot be read': broken,
    }


LOADS = {
    'source and target': 4, 'packed': 2, 'a step that writes into what it gets': 2, 'two images of one draw': 4,
    'a cache': 2, 'several sets': 2, 'files that cannot be read': None,
}  # fmt: skip


@pytest.mark.parametrize('kind', LOADS)
def test_a_file_is_loaded_once_for_all_tries_and_samples_are_as_before(
    source: dict, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    init_default_scope('mmseg')
    config = sources(source, tmp_path)[kind]
    dataset = DATASETS.build(config) if 'target' in config else DrawnDataset(config)
    loads: list[tuple[str, str]] = []
    tries: list[int] = []
    for loader, key in (
        (LoadImageFromFile, 'img_path'), (LoadCachedImage, 'img_path'), (LoadAnnotations, 'seg_map_path'),
    ):  # fmt: skip
        monkeypatch.setattr(
            loader,
            'transform',
            lambda self, r, key=key, plain=loader.transform: (
                loads.append((key, r[key])) or plain(self, r)
            ),
        )
    flip = RandomFlip.transform
    monkeypatch.setattr(RandomFlip, 'transform', lambda self, r: tries.append(1) or flip(self, r))
    steps = [list(leaf.pipeline.transforms) for leaf in leaf_datasets(dataset)]
    draws = [
        Draw(n % len(dataset), n, 3, WantedClass(18, 30, most))
        for most in (1, 2, 6)
        for n in range(20)
    ]
    once = []
    for draw in draws:
        loads.clear()
        state = get_random_state()
        once.append(dataset[draw])
        assert same_random_state(state, get_random_state())
        assert len(loads) == (LOADS[kind] or len(loads))
    assert steps == [leaf.pipeline.transforms for leaf in leaf_datasets(dataset)]
    tried = len(tries)
    tries.clear()
    for module in (drawn, cross_domain):
        monkeypatch.setattr(module, 'fetch_wanted', as_before)
    for draw, sample in zip(draws, once, strict=True):
        expected = dataset[draw]
        if kind == 'packed':
            pairs = (
                (expected['inputs'], sample['inputs']),
                (
                    expected['data_samples'].gt_sem_seg.data,
                    sample['data_samples'].gt_sem_seg.data,
                ),
            )
            assert all(same(*pair) for pair in pairs)
            assert expected['data_samples'].metainfo == sample['data_samples'].metainfo
        else:
            assert same(expected, sample)
    assert tried == len(tries) > 2 * len(draws)


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
            'train_dataloader.sampler.rare_classes.min_pixels must be a number from 0 on, got -1.',
        ),
        *(
            (
                {name: value},
                f'train_dataloader.sampler.rare_classes.{name} must be a number from 0 on, got {value!r}.',
            )
            for name in ('temperature', 'min_pixels', 'crop_ratio')
            for value in (math.nan, math.inf, '0.1', None)
        ),
        (
            dict(tries='10'),
            "train_dataloader.sampler.rare_classes.tries must be an integer from 1 on, got '10'.",
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
