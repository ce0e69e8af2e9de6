from __future__ import annotations

import numpy as np
import pytest
from curriculum_numbers import SMALL, SMALL_LAB

from mmseg_ccdistill.curriculum.grid_filter import _grid, grid_filter
from mmseg_ccdistill.curriculum.window_filter import window_filter


def test_numbers_of_the_public_code() -> None:
    smooth = grid_filter(SMALL[..., :1], SMALL_LAB)[..., 0]
    assert smooth[0, 0] == pytest.approx(0.0498432254096, abs=1e-12)
    assert smooth[30, 45] == pytest.approx(0.0532207305509, abs=1e-12)
    assert smooth[59, 89] == pytest.approx(0.0532130542749, abs=1e-12)
    assert smooth.sum() == pytest.approx(287.421367329, abs=1e-8)
    assert _grid(SMALL_LAB, 80, 20, 0.1, 0.1)[1] == (21, 23, 15, 11, 10)


def test_a_finer_grid() -> None:
    smooth = grid_filter(SMALL[..., :1], SMALL_LAB, 8, 4)[..., 0]
    np.testing.assert_allclose(
        [smooth[0, 0], smooth[30, 45], smooth[59, 89]],
        [0.0375201986159, 0.0494818619554, 0.0668663391605],
        atol=1e-12,
    )
    assert smooth.sum() == pytest.approx(286.738259612, abs=1e-8)


def test_it_is_near_the_formula() -> None:
    exact = window_filter(SMALL[..., :1], SMALL_LAB, 80, 0.1, radius=90)
    assert abs(grid_filter(SMALL[..., :1], SMALL_LAB) - exact).max() < 0.006
    assert abs(grid_filter(SMALL[..., :1], SMALL_LAB) - exact).max() > 1e-4


def test_probabilities_stay_probabilities() -> None:
    part = (slice(20), slice(30))
    np.testing.assert_allclose(grid_filter(SMALL[part], SMALL_LAB[part]).sum(-1), 1, atol=1e-12)


def test_bad_settings() -> None:
    with pytest.raises(ValueError, match='expected positive numbers'):
        grid_filter(SMALL, SMALL_LAB, colour_cell=0)
    with pytest.raises(ValueError, match=r'expected \(H, W, K\)'):
        grid_filter(SMALL, SMALL_LAB[:10])
