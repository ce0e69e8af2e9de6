"""Resize and crop in one step: the pixels, results and random numbers of the two."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from mmengine.registry import init_default_scope
from mmseg.registry import TRANSFORMS

from mmseg_ccdistill.datasets import DrawnDataset
from mmseg_ccdistill.datasets.transforms.resized_crop import (
    ResizedCrop,
    join_crops,
    resize_up_to,
)
from mmseg_ccdistill.runtime.random_state import get_random_state, same_random_state

SIZES = ((1080, 1920), (360, 480), (375, 1242), (41, 83))


def steps(crop: Any = 200, ratio_range: Any = (0.5, 2.0), **kwargs: Any) -> list[Any]:
    """The two transforms, as a pipeline builds them."""
    init_default_scope('mmseg')
    options = {key: kwargs.pop(key) for key in ('cat_max_ratio',) if key in kwargs}
    resize = dict(dict(scale=(480, 360), keep_ratio=True), **kwargs)
    return [
        TRANSFORMS.build(dict(type='RandomResize', ratio_range=ratio_range, **resize)),
        TRANSFORMS.build(dict(type='RandomCrop', crop_size=crop, **options)),
    ]


def sample(seed: int, size: tuple[int, int] = (360, 480), label: bool = True) -> dict[str, Any]:
    rng = np.random.default_rng(seed)
    results = dict(img=rng.integers(0, 256, (*size, 3), dtype=np.uint8), seg_fields=[])
    if label:
        blocks = rng.integers(0, 4, (size[0] // 40 + 1, size[1] // 40 + 1), dtype=np.uint8)
        results['gt_seg_map'] = np.kron(blocks, np.ones((40, 40), np.uint8))[: size[0], : size[1]]
        results['seg_fields'] = ['gt_seg_map']
    return results


def both(pair: list[Any], results: dict[str, Any], seed: int) -> None:
    """Compare one sample of the two transforms with that of the joined one."""
    joined = list(pair)
    join_crops(joined)
    assert len(joined) == 1
    found = []
    for pipeline in (pair, joined):
        np.random.seed(seed)
        out = {
            key: value.copy() if hasattr(value, 'copy') else value for key, value in results.items()
        }
        for step in pipeline:
            out = step(out)
        found.append((out, get_random_state()))
    (expected, state), (ours, our_state) = found
    assert same_random_state(state, our_state)
    assert list(expected) == list(ours)
    for key, value in expected.items():
        np.testing.assert_array_equal(ours[key], value, err_msg=key)
        assert type(ours[key]) is type(value)


@pytest.mark.parametrize('interpolation', [cv2.INTER_LINEAR, cv2.INTER_NEAREST])
@pytest.mark.parametrize('size', SIZES)
def test_the_part_has_the_pixels_of_the_whole(size: tuple[int, int], interpolation: int) -> None:
    rng = np.random.default_rng(size[0])
    image = rng.integers(0, 256, (*size, 3), dtype=np.uint8)
    near_one = 1 + 1.5 / size[1]  # a part would keep its size, which OpenCV takes for a copy
    for ratio in (0.5, 0.25, 1.0, 2.0, 0.75, near_one, *rng.uniform(0.4, 2.1, 6)):
        new = tuple(int(side * ratio + 0.5) for side in size)
        whole = cv2.resize(image, new[::-1], interpolation=interpolation)
        for share in (0.1, 0.6, 0.999, 1.0):
            end = tuple(max(int(side * share), 1) for side in new)
            part = resize_up_to(image, new, end, interpolation)
            np.testing.assert_array_equal(part, whole[: end[0], : end[1]])


def test_nothing_behind_the_part_is_read() -> None:
    image = np.zeros((400, 400), np.uint8)
    image[104:] = image[:, 104:] = 255
    part = resize_up_to(image, (300, 300), (75, 75), cv2.INTER_LINEAR)
    assert part.shape == (75, 75) and not part.any()


@pytest.mark.parametrize(
    'kwargs',
    [
        {},
        dict(label=False),
        dict(crop=1000, label=False),
        dict(crop=(100, 240)),
        dict(crop=1000),  # larger than the image
        dict(cat_max_ratio=0.4),  # chosen by its classes
        dict(keep_ratio=False),
        dict(scale=[(480, 360), (240, 100)], ratio_range=None),
        dict(interpolation='nearest'),
    ],
)
def test_a_sample_is_that_of_the_two(kwargs: dict[str, Any]) -> None:
    options = dict(kwargs)
    label = options.pop('label', True)
    for seed in range(8):
        both(steps(**options), sample(seed, label=label), seed)


def test_what_it_does_not_know_goes_through_the_two() -> None:
    floats = sample(0)
    floats['img'] = floats['img'].astype(np.float32)
    small = sample(0)
    small['gt_seg_map'] = small['gt_seg_map'][::2, ::2].copy()
    depth = sample(0)
    depth['gt_depth_map'] = np.ones((360, 480), np.float32)
    depth['seg_fields'] = ['gt_seg_map', 'gt_depth_map']
    boxes = dict(sample(0), gt_bboxes=np.array([[0.0, 0.0, 10.0, 10.0]], np.float32))
    pair = steps(cat_max_ratio=1.0)
    for results in (floats, small, depth, boxes):
        both(pair, results, 3)


def test_only_neighbours_of_a_known_kind_are_joined() -> None:
    resize, crop = steps()

    class OwnCrop(type(crop)):  # type: ignore[misc]  # a class that is known at run time
        """A crop of somebody else."""

    flip = TRANSFORMS.build(dict(type='RandomFlip', prob=0.5))
    for pipeline in (
        [resize, flip, crop],
        [crop, resize],
        [resize, OwnCrop(crop_size=(8, 8))],
        [steps(interpolation='bicubic')[0], crop],
        [steps(backend='pillow')[0], crop],
    ):
        before = list(pipeline)
        join_crops(pipeline)
        assert pipeline == before
    twice = [*steps(), flip, *steps()]
    join_crops(twice)
    assert [type(step) for step in twice] == [ResizedCrop, type(flip), ResizedCrop]
    assert repr(twice[0]).startswith('ResizedCrop(RandomResize(')


def test_a_training_set_joins_them(tmp_path: Path) -> None:
    for name in ('images/a.png', 'labels/a.png'):
        (tmp_path / name).parent.mkdir()
        shape = (40, 60, 3) if 'images' in name else (40, 60)
        cv2.imwrite(str(tmp_path / name), np.full(shape, 7, np.uint8))
    init_default_scope('mmseg')
    dataset = DrawnDataset(
        dict(
            type='BaseSegDataset',
            data_root=str(tmp_path),
            data_prefix=dict(img_path='images', seg_map_path='labels'),
            img_suffix='.png',
            metainfo=dict(classes=('a',)),
            pipeline=[
                dict(type='LoadImageFromFile'),
                dict(type='LoadAnnotations'),
                dict(type='RandomResize', scale=(60, 40), ratio_range=(0.9, 1.5), keep_ratio=True),
                dict(type='RandomCrop', crop_size=(32, 32)),
            ],
        )
    )
    assert type(dataset.dataset.pipeline.transforms[-1]) is ResizedCrop
    assert dataset[0]['img'].shape == (32, 32, 3)
