from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from mmengine.config import Config
from mmengine.dataset import Compose
from mmengine.registry import init_default_scope
from mmseg.registry import DATASETS
from tiny_data import (
    DAYS,
    NIGHTS,
    cross_config,
    make_cityscapes,
    make_dark_zurich,
    picture,
    source_config,
    write,
)

from mmseg_ccdistill.datasets import DatasetCheckError, check_dataset
from mmseg_ccdistill.datasets.crop_check import unfilled_crop
from mmseg_ccdistill.datasets.transforms.resized_crop import join_crops

ROOT = Path(__file__).resolve().parents[2]
LOAD = dict(type='LoadImageFromFile')
FLIP = dict(type='RandomFlip', prob=0.5)
CROP = dict(type='RandomCrop', crop_size=(48, 64))


def found(size: tuple[int, int], *steps: Any) -> Any:
    init_default_scope('mmseg')
    transforms = list(Compose(list(steps)).transforms)
    plain = unfilled_crop(transforms, size)
    join_crops(transforms)
    assert unfilled_crop(transforms, size) == plain  # as a dataset has them
    return plain


def resize(scale: Any, **kwargs: Any) -> dict[str, Any]:
    kwargs.setdefault('keep_ratio', True)
    return dict(type='RandomResize' if 'ratio_range' in kwargs else 'Resize', scale=scale, **kwargs)


@pytest.mark.parametrize(
    ('size', 'resizes', 'smallest'),
    [
        ((64, 48), [], None),
        ((64, 47), [], (64, 47)),
        ((63, 48), [], (63, 48)),
        ((512, 80), [resize((512, 512), ratio_range=(0.5, 1.25))], (256, 40)),
        ((512, 80), [resize((512, 80), ratio_range=(1.25, 0.5))], (256, 40)),
        ((512, 80), [resize((512, 80), ratio_range=(0.6, 2.0))], None),
        ((512, 80), [resize((512, 80), ratio_range=(0.59, 2.0))], (301, 47)),
        ((512, 80), [resize((80, 60), ratio_range=(0.5, 1.0), keep_ratio=False)], (40, 30)),
        ((80, 512), [resize((512, 80))], None),
        ((80, 512), [resize((256, 60))], (40, 256)),
        ((512, 80), [resize((64, 48), keep_ratio=False)], None),
        ((512, 80), [resize([(512, 80), (256, 40)], ratio_range=None)], (256, 40)),
        ((20, 20), [resize((640, 480), keep_ratio=False), resize((60, 60))], (60, 45)),
    ],
)
def test_the_smallest_size_that_a_crop_meets_is_found(
    size: tuple[int, int], resizes: list[Any], smallest: tuple[int, int] | None
) -> None:
    expected = None if smallest is None else (smallest, (64, 48))
    assert found(size, LOAD, *resizes, CROP, FLIP) == expected
    assert found(size, LOAD, FLIP, *resizes, dict(type='PhotoMetricDistortion'), CROP) == expected


@pytest.mark.parametrize(
    'steps',
    [
        [LOAD, FLIP],
        [LOAD, CROP, resize((64, 48), keep_ratio=False)],
        [LOAD, CROP, dict(type='Pad', size=(64, 64))],
        [LOAD, dict(type='Pad', size=(64, 64)), CROP],
        [LOAD, dict(type='RandomRotate', prob=1, degree=3), CROP],
        [LOAD, dict(type='Resize', scale_factor=0.5), CROP],
        [LOAD, dict(type='ResizeShortestEdge', scale=8, max_size=9), CROP],
        [LOAD, lambda results: results, CROP],
    ],
)
def test_nothing_is_said_of_pipelines_that_do_something_else(steps: list[Any]) -> None:
    assert found((9, 9), *steps) is None


def test_a_target_image_that_is_smaller_than_the_crop_is_named(tmp_path: Path) -> None:
    root = make_dark_zurich(tmp_path / 'dark_zurich')
    for stem in (*NIGHTS, *DAYS):
        write(root / 'rgb_anon' / f'{stem}_rgb_anon.png', picture(1, (30, 96)))
    config = cross_config(make_cityscapes(tmp_path / 'cityscapes'), root)
    steps = [LOAD, resize((96, 54), ratio_range=(0.9, 1.1)), dict(CROP, crop_size=(32, 32)), FLIP]
    config['target']['pipeline'] = steps
    init_default_scope('mmseg')
    with pytest.raises(DatasetCheckError) as caught:
        check_dataset(DATASETS.build(config))
    name = str(root / 'rgb_anon' / f'{NIGHTS[0]}_rgb_anon.png')
    assert str(caught.value) == (
        f'The target image {name!r} has 96x30 pixels, 86x27 after the resize of the pipeline at its smallest ratio: '
        'expected at least the crop of 32x32, because the rest would be padded with black and learned as image; set a '
        'larger scale in the pipeline or a smaller crop, or leave the image out. (2 more of this kind.)'
    )
    steps[1]['scale'] = (192, 72)
    check_dataset(DATASETS.build(config))
    config['domains'] = ('source_day', 'target_night')
    steps[1]['scale'] = (96, 54)
    with pytest.raises(DatasetCheckError, match='learned as image'):
        check_dataset(DATASETS.build(config))


def test_a_labelled_source_may_be_smaller_than_its_crop(tmp_path: Path) -> None:
    root = make_dark_zurich(tmp_path / 'dark_zurich')
    config = cross_config(make_cityscapes(tmp_path / 'cityscapes'), root)
    config['source'] = source_config(tmp_path / 'cityscapes', crop=64)
    init_default_scope('mmseg')
    dataset = DATASETS.build(config)
    check_dataset(dataset)
    assert dataset[0]['data_samples']['source_day'].gt_sem_seg.shape[0] < 64


#: Width and height of the images that a target's root is meant for.
INTENDED = {
    'data/dark_zurich/': (1920, 1080),
    'data/mini_night/dark_zurich/': (480, 270),
    'data/camvid/dark_zurich/': (480, 360),
    'data/two_cities/dark_zurich/': (480, 360),
}


@pytest.mark.parametrize(
    'base', ['cityscapes2darkzurich', 'mini_night', 'camvid_frames', 'two_cities']
)
def test_every_shipped_crop_is_filled_by_the_images_it_is_meant_for(base: str) -> None:
    config = Config.fromfile(ROOT / f'configs/_base_/datasets/{base}.py')
    if base == 'camvid_frames':
        target = config.camvid_target
    else:
        target = config.get('two_cities_dataloader', config.get('train_dataloader')).dataset.target
    size = INTENDED[target.data_root]
    steps = [dict(step) for step in target.pipeline]
    assert found(size, *steps) is None
    crop = next(k for k, step in enumerate(steps) if step['type'] == 'RandomCrop')
    assert found(size, *steps[: crop + 1]) is None  # nor is a crop stretched
    assert found((size[0], 80), *steps[: crop + 1]) is not None


def test_cityscapes_fills_its_crops_at_half_its_size() -> None:
    wide = [LOAD, resize((2048, 1024), ratio_range=(0.5, 2.0)), dict(CROP, crop_size=(512, 512))]
    assert found((2048, 1024), *wide) is None
    assert found((1920, 1080), LOAD, resize((1920, 1080), ratio_range=(0.5, 2.0)), wide[2]) is None
    assert found((2048, 480), *wide) == ((1024, 240), (512, 512))
