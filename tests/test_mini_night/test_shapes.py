from __future__ import annotations

import math

import numpy as np
import pytest

from mmseg_ccdistill.mini_night.shapes import (
    Frame,
    disc,
    disc_footprint,
    emission,
    pick,
    shade,
)


def test_a_frame_turns_scales_and_shifts() -> None:
    assert Frame(2.0, 10.0)(1.0, 3.0, 4.0) == (3.0, 3.0, 14.0)
    # Heading a quarter turn to the right: ahead is +x, to the right is -z.
    assert Frame(2.0, 10.0, math.pi / 2)(1.0, 3.0, 4.0) == pytest.approx((6.0, 3.0, 9.0))
    assert Frame(2.0, 10.0, scale=2.0)(1.0, 3.0, 4.0) == (4.0, 6.0, 18.0)


def test_a_disc_stands_upright_across_its_axis() -> None:
    corners = np.array(disc((1.0, 2.0, 3.0), 0.5, (0.0, 1.0), corners=8))
    assert corners.shape == (8, 3)
    np.testing.assert_allclose(corners[:, 0], 1.0)
    np.testing.assert_allclose(np.hypot(corners[:, 1] - 2, corners[:, 2] - 3), 0.5)


def test_a_footprint_is_an_octagon_on_the_ground() -> None:
    corners = np.array(disc_footprint(1.0, 2.0, 3.0))
    assert corners.shape == (8, 2)
    np.testing.assert_allclose(np.linalg.norm(corners - (1.0, 2.0), axis=1), 3.0)


def test_colours_are_scaled_clipped_and_made_linear() -> None:
    assert shade((100.0, 200.0, 0.0), 1.5) == (150.0, 255.0, 0.0)
    assert emission((255.0, 0.0, 255.0), 4.0) == pytest.approx((4.0, 0.0, 4.0))


def test_a_picked_colour_is_near_an_entry_of_the_palette_and_follows_the_generator() -> None:
    palette = ((10.0, 20.0, 30.0), (200.0, 210.0, 220.0))
    colours = [pick(np.random.default_rng(seed), palette, 2.0) for seed in range(20)]
    nearest = [min(np.abs(np.subtract(c, p)).max() for p in palette) for c in colours]
    assert max(nearest) < 12 and len({c[0] > 100 for c in colours}) == 2
    assert colours[3] == pick(np.random.default_rng(3), palette, 2.0)
