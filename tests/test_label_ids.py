"""Which ids are these? One answer for the start-up check, the check of data sets, scores and losses."""

from __future__ import annotations

from pathlib import Path

import pytest
from mmseg.datasets import CityscapesDataset

from mmseg_ccdistill.label_ids import (
    NUM_TRAIN_IDS,
    TRAIN_ID_OF_LABEL_ID,
    foreign_ids_fault,
    label_ids_beside,
)


def test_train_ids_are_the_places_of_the_classes() -> None:
    assert len(CityscapesDataset.METAINFO['classes']) == NUM_TRAIN_IDS
    assert list(TRAIN_ID_OF_LABEL_ID.values()) == list(range(19))
    assert sorted(TRAIN_ID_OF_LABEL_ID) == [7, 8, 11, 12, 13, 17, *range(19, 29), 31, 32, 33]


def test_ids_are_named_once_sorted_and_never_the_ignored_one() -> None:
    assert foreign_ids_fault('It', (), 2) is None
    assert foreign_ids_fault('It', (0, 255, 3, 3), 3, ignore_index=0) == (
        'It holds the values 3, 255: expected class ids 0..2 and 0 (ignore) in one channel; convert it or correct '
        'seg_map_suffix.'
    )


@pytest.mark.parametrize(
    ('values', 'num_classes', 'sentence'),
    [
        ((0, 18, 255), 19, None),
        (
            range(34),
            19,
            'It holds the values 19, 20, 21, 22, 23, 24, 25, 26, …, which look like labelIds: expected class ids '
            '0..18 and 255 (ignore) in one channel (trainIds); relabel.',
        ),
        (
            (26, 200),
            19,
            'It holds the values 26, 200: expected class ids 0..18 and 255 (ignore) in one channel; convert it or '
            'correct seg_map_suffix.',
        ),
        (
            (-1, 26),
            19,
            'It holds the values -1, 26: expected class ids 0..18 and 255 (ignore) in one channel; convert it or '
            'correct seg_map_suffix.',
        ),
        (
            (26,),
            11,
            'It holds the values 26: expected class ids 0..10 and 255 (ignore) in one channel; convert it or '
            'correct seg_map_suffix.',
        ),
    ],
)
def test_only_19_classes_and_small_ids_look_like_label_ids(values, num_classes, sentence) -> None:
    assert foreign_ids_fault('It', values, num_classes, relabel='relabel') == sentence


def test_label_ids_lie_beside_train_ids(tmp_path: Path) -> None:
    missing = str(tmp_path / 'a_gtFine_labelTrainIds.png')
    assert label_ids_beside(missing) is None
    (tmp_path / 'a_gtFine_labelIds.png').touch()
    assert label_ids_beside(missing) == str(tmp_path / 'a_gtFine_labelIds.png')
    (tmp_path / 'b_labelIds.png').touch()
    assert label_ids_beside(str(tmp_path / 'b.png')) is None
