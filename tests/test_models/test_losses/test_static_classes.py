from __future__ import annotations

import pytest

from mmseg_ccdistill.models.losses.static_classes import STATIC_CLASSES, static_class_ids

NAMES = ['sky', 'road', 'bus']


def test_the_static_classes_of_cityscapes() -> None:
    assert STATIC_CLASSES == (
        'road',
        'sidewalk',
        'building',
        'wall',
        'fence',
        'pole',
        'traffic light',
        'traffic sign',
        'vegetation',
        'terrain',
        'sky',
    )


@pytest.mark.parametrize(
    ('wanted', 'classes', 'ids'),
    [
        (['road', 'sky'], NAMES, [0, 1]),
        ([2, 0], NAMES, [0, 2]),
        ([1], None, [1]),
    ],
)
def test_names_and_ids_become_rising_ids(wanted: list, classes: list | None, ids: list) -> None:
    assert static_class_ids(wanted, 3, classes) == ids


@pytest.mark.parametrize(
    ('wanted', 'classes', 'sentence'),
    [
        (
            ['road'],
            None,
            "StaticLoss: static_classes ['road'] are names, but the names of the 3 classes are not known: set "
            'classes=[...] to those of the data set.',
        ),
        (
            ['street'],
            NAMES,
            "StaticLoss: static_classes must be distinct names out of ['sky', 'road', 'bus'], got ['street'].",
        ),
        (
            ['sky', 'sky'],
            NAMES,
            "StaticLoss: static_classes must be distinct names out of ['sky', 'road', 'bus'], got ['sky', 'sky'].",
        ),
        (
            ['sky', 1],
            NAMES,
            "StaticLoss: static_classes must be distinct names out of ['sky', 'road', 'bus'], got ['sky', 1].",
        ),
        ([3], NAMES, 'StaticLoss: static_classes must be distinct numbers from 0 to 2, got [3].'),
        ([], NAMES, 'StaticLoss: static_classes must be distinct numbers from 0 to 2, got [].'),
    ],
)
def test_what_names_no_class_is_refused(wanted: list, classes: list | None, sentence: str) -> None:
    with pytest.raises(ValueError) as caught:
        static_class_ids(wanted, 3, classes)
    assert str(caught.value) == sentence
