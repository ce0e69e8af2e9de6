from __future__ import annotations

import numpy as np
import pytest
from curriculum_numbers import SMALL, SMALL_LAB, normal

from mmseg_ccdistill.curriculum.window_filter import window_filter


def test_numbers() -> None:
    smooth = window_filter(SMALL, SMALL_LAB, 8, 0.1, radius=8, step=2)
    assert smooth[0, 0, 0] == pytest.approx(0.0436721243881, abs=1e-12)
    assert smooth[30, 45, 0] == pytest.approx(0.0269662695663, abs=1e-12)
    assert smooth[59, 89, 0] == pytest.approx(0.0245083413002, abs=1e-12)
    assert smooth[..., 0].sum() == pytest.approx(287.207634527, abs=1e-8)
    assert (smooth**2).sum() == pytest.approx(343.560673891, abs=1e-8)
    np.testing.assert_allclose(smooth.sum(-1), 1, atol=1e-14)


def test_a_constant_guide_and_a_wide_window_give_the_mean() -> None:
    values = normal(0, 5, 7, 2)
    smooth = window_filter(values, np.zeros((5, 7, 3)), np.inf, 1.0, radius=7)
    np.testing.assert_allclose(
        smooth, np.broadcast_to(values.mean((0, 1)), values.shape), atol=1e-13
    )


def test_nothing_mixes_across_an_edge_of_the_guide() -> None:
    guide = np.zeros((6, 8, 1))
    guide[:, 4:] = 1.0
    values = np.zeros((6, 8, 2))
    values[:, :4, 0] = values[:, 4:, 1] = 1.0
    smooth = window_filter(values, guide, np.inf, 0.1, radius=8)
    assert abs(smooth - values).max() < np.exp(-49)  # up to equal counts of both sides


def test_the_order_of_the_classes_does_not_matter() -> None:
    order = np.random.RandomState(1).permutation(19)
    np.testing.assert_allclose(
        window_filter(SMALL[..., order], SMALL_LAB, 8, 0.1, 4, 2),
        window_filter(SMALL, SMALL_LAB, 8, 0.1, 4, 2)[..., order],
        atol=1e-15,
    )


@pytest.mark.parametrize(
    ('settings', 'message'),
    [
        (dict(space=0.0), 'whole number of steps'),
        (dict(radius=3), 'whole number of steps'),
        (dict(guide=np.zeros((3, 3, 3))), r'expected \(H, W, K\)'),
    ],
)
def test_bad_settings(settings: dict, message: str) -> None:
    given = dict(guide=SMALL_LAB, space=8.0, colour=0.1, radius=4, step=2)
    with pytest.raises(ValueError, match=message):
        window_filter(SMALL, **{**given, **settings})
