from __future__ import annotations

import pytest

from mmseg_ccdistill.curriculum.class_balanced_epoch import class_balanced_epoch

IMAGES = [{0, 1}, {0, 1}, {0}, {0}, {2}, {1, 2}, {0, 2}, {0}]


def test_images_are_taken_until_each_class_is_in_enough() -> None:
    assert class_balanced_epoch(IMAGES, 2, 3) == [0, 1, 4, 5]


def test_a_rare_class_is_taken_whole() -> None:
    assert class_balanced_epoch(IMAGES, 5, 3) == [0, 1, 2, 3, 4, 5, 6]
    assert class_balanced_epoch([[], [0]], 1, 2) == [1]


def test_no_quota() -> None:
    with pytest.raises(ValueError, match='1 or more images'):
        class_balanced_epoch(IMAGES, 0, 3)
