"""A day prediction in the night view, on a pair of mini night: how much the alignment brings."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.day_in_night_view import (
    Pair,
    agreement,
    by_true_motion,
    measure,
    picture,
    prediction,
    render_pairs,
)


@pytest.fixture(scope='module')
def pair() -> Pair:
    return render_pairs(1, (240, 136), 0)[0]


def test_the_true_motion_brings_the_day_into_the_night_view(pair: Pair) -> None:
    """The signs of rotation and translation, the depth and the pixel centres all have to be right for this."""
    assert 0.3 <= np.linalg.norm(pair.translation) <= 1.6
    before = agreement(prediction(pair.day_label), pair)
    warped, covered = by_true_motion(pair)
    assert before < 0.83
    assert agreement(warped, pair) > before + 0.08
    assert covered.mean() > 0.9
    turned = pair._replace(rotation=pair.rotation.T, translation=-pair.translation)
    assert agreement(by_true_motion(turned)[0], pair) < before


@pytest.mark.slow
def test_the_table_and_the_picture(pair: Pair) -> None:
    rows = measure([pair])
    assert list(rows)[0] == 'not aligned' and list(rows)[-1] == 'true motion and depth'
    filtered = rows['filter (GCMA)']
    assert filtered['filtered'] == 1
    scores = {title: row['agreement'] for title, row in rows.items()}
    assert scores['not aligned'] < scores['filter (GCMA)'] < scores['true motion and depth']
    drawn = picture([pair])
    assert drawn.dtype == np.uint8 and drawn.shape[1] > 5 * 320
