"""Images with the pseudo labels of a stage, and labels that do not fit them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from mmseg.datasets import CityscapesDataset
from mmseg.registry import DATASETS

from mmseg_ccdistill.datasets import DatasetCheckError, PseudoLabelledDataset
from mmseg_ccdistill.datasets.file_check import check_dataset, initialise
from mmseg_ccdistill.errors import UserInputError
from mmseg_ccdistill.runtime.file_digest import file_digest

NAMES = ('A/A_frame_000001_rgb_anon.png', 'A/A_frame_000002_rgb_anon.png', 'B/B_1_rgb_anon.png')


@pytest.fixture
def place(tmp_path: Path) -> Path:
    for index, name in enumerate(NAMES):
        for folder, image in (
            ('dusk', np.full((20, 30, 3), 50 * index, np.uint8)),
            ('labels', np.full((20, 30), index, np.uint8)),
        ):
            path = tmp_path / folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(path), image)
    (tmp_path / 'maker.pth').write_bytes(b'weights')
    write_manifest(tmp_path)
    return tmp_path


def write_manifest(place: Path, **changes: Any) -> None:
    classes = list(CityscapesDataset.METAINFO['classes'])
    settings = dict(checkpoint=file_digest(place / 'maker.pth'), classes=classes)
    settings.update(changes.pop('settings', {}))
    manifest = dict(format=1, finished=True, settings=settings, images=dict.fromkeys(NAMES, {}))
    (place / 'labels/manifest.json').write_text(json.dumps({**manifest, **changes}))


def build(place: Path, **kwargs: Any) -> PseudoLabelledDataset:
    pipeline = [dict(type='LoadImageFromFile'), dict(type='LoadAnnotations')]
    folders = dict(img_path=str(place / 'dusk'), seg_map_path=str(place / 'labels'))
    config = dict(
        type='PseudoLabelledDataset', data_prefix=folders, made_by=str(place / 'maker.pth'),
        pipeline=pipeline, lazy_init=True,
    )  # fmt: skip
    return DATASETS.build({**config, **kwargs})


def test_each_image_has_the_label_of_its_name(place: Path) -> None:
    dataset = build(place)
    initialise(dataset)
    check_dataset(dataset, str(place))
    assert (
        len(dataset) == 3 and dataset.metainfo['classes'] == CityscapesDataset.METAINFO['classes']
    )
    for index, sample in enumerate(dataset):
        assert (sample['gt_seg_map'] == index).all() and (sample['img'] == 50 * index).all()


def test_any_checkpoint_will_do_and_classes_of_ones_own(place: Path) -> None:
    write_manifest(place, settings=dict(checkpoint='f' * 64, classes=['road', 'rest']))
    metainfo = dict(classes=['road', 'rest'], palette=[[1, 2, 3], [4, 5, 6]])
    initialise(dataset := build(place, made_by=None, metainfo=metainfo))
    assert dataset.metainfo['classes'] == ['road', 'rest']
    assert dataset[1]['gt_seg_map'].max() == 1  # ids as they are in the file


@pytest.mark.parametrize(
    ('spoil', 'words'),
    [
        (lambda p: write_manifest(p, finished=False), 'are not finished: expected the labels of all images'),
        (
            lambda p: (p / 'maker.pth').write_bytes(b'retrained'),
            "were made by another checkpoint than '.*maker.pth': expected labels of the stage before",
        ),
        (
            lambda p: (p / 'maker.pth').unlink(),
            "names the checkpoint '.*maker.pth', which does not exist: expected the one that made",
        ),
        (
            lambda p: write_manifest(p, settings=dict(classes=['road'])),
            r"have other classes \(only in the data set: 'sidewalk'",
        ),
        (
            lambda p: write_manifest(p, images=dict.fromkeys(NAMES[:2])),
            "are of another list: there is no label for 'B/B_1_rgb_anon.png', which '.*dusk' names",
        ),
        (lambda p: (p / 'labels/manifest.json').unlink(), 'no manifest of pseudo labels .there is no such'),
        (lambda p: (p / 'labels/manifest.json').write_text('[]'), 'no manifest of pseudo labels .TypeErr'),
        (lambda p: (p / 'labels').rename(p / 'gone'), 'make the labels with tools/pseudo_label.py or'),
    ],
)  # fmt: skip
def test_labels_that_do_not_fit_are_one_sentence(
    place: Path, spoil: Callable[[Path], Any], words: str
) -> None:
    dataset = build(place)
    spoil(place)
    with pytest.raises(DatasetCheckError, match=words):
        initialise(dataset)


def test_a_label_that_is_gone_is_named_by_the_check_of_the_files(place: Path) -> None:
    initialise(dataset := build(place))
    (place / 'labels' / NAMES[1]).unlink()
    with pytest.raises(DatasetCheckError, match='A_frame_000002_rgb_anon.png.* does not exist'):
        check_dataset(dataset, str(place))


@pytest.mark.parametrize(('key', 'what'), [('img_path', 'images'), ('seg_map_path', 'labels')])
def test_both_folders_are_needed(key: str, what: str) -> None:
    folders = dict(img_path='a', seg_map_path='b')
    folders[key] = ''
    with pytest.raises(
        UserInputError, match=f'data_prefix.{key} .* expected the folder of the {what}'
    ):
        PseudoLabelledDataset(folders, lazy_init=True)


def test_translated_images_under_other_names_are_refused(place: Path) -> None:
    """A folder of ready translations is the image folder of the labelled part; names must fit its labels."""
    for stem in ('ulm_000001', 'ulm_000002'):
        for folder, ending, shape in (
            ('styled', 'leftImg8bit', (20, 30, 3)), ('gtFine', 'gtFine_labelTrainIds', (20, 30)),
        ):  # fmt: skip
            path = place / folder / 'ulm' / f'{stem}_{ending}.png'
            path.parent.mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(path), np.zeros(shape, np.uint8))
    pipeline = [dict(type='LoadImageFromFile'), dict(type='LoadAnnotations')]
    dataset = CityscapesDataset(
        data_root=str(place), pipeline=pipeline,
        data_prefix=dict(img_path='styled', seg_map_path='gtFine'),
    )  # fmt: skip
    check_dataset(dataset, str(place))
    image = place / 'styled/ulm/ulm_000001_leftImg8bit.png'
    image.rename(image.with_name('fake_ulm_000001_leftImg8bit.png'))
    renamed = CityscapesDataset(
        data_root=str(place), pipeline=pipeline,
        data_prefix=dict(img_path='styled', seg_map_path='gtFine'),
    )  # fmt: skip
    with pytest.raises(
        DatasetCheckError, match='fake_ulm_000001_gtFine_labelTrainIds.png.* expected one label'
    ):
        check_dataset(renamed, str(place))
