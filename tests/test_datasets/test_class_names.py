from __future__ import annotations

import pytest

from mmseg_ccdistill.datasets.class_names import class_difference

OWNERS = ('the head', 'the data set')
MANY = [f'c{k}' for k in range(9)]


@pytest.mark.parametrize(
    ('ours', 'theirs', 'expected'),
    [
        (['road', 'sky'], ('road', 'sky'), None),
        (
            ['road', 'sky', 'bus'],
            ['road', 'bus', 'sky'],
            "the same names in another order: class 1 is 'sky' in the head, 'bus' in the data set",
        ),
        (['road', 'sky'], ['road', 'bus'], "only in the head: 'sky', only in the data set: 'bus'"),
        (['road'], ['road', 'bus'], "only in the data set: 'bus'"),
        # One name twice: no name is missing, so the numbers tell.
        (['road', 'road'], ['road'], '2 names in the head, 1 in the data set'),
        (
            MANY,
            ['road'],
            "only in the head: 'c0', 'c1', 'c2', 'c3', 'c4', 'c5', 'c6', 'c7', … (9), "
            "only in the data set: 'road'",
        ),
        (MANY[:8], MANY[:7], "only in the head: 'c7'"),
    ],
)
def test_the_difference_in_words(ours: list, theirs: list, expected: str | None) -> None:
    assert class_difference(ours, theirs, OWNERS) == expected
