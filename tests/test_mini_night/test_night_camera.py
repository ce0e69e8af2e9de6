from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from mmseg_ccdistill.mini_night import make_world
from mmseg_ccdistill.mini_night.night_camera import (
    NightCamera,
    add_streaks,
    make_night_camera,
    take,
)

WORLD = replace(make_world('T'), gain=(1.0, 1.0, 1.0))
#: Neither noise nor glare.
STILL = NightCamera(0.02, (1.0, 1.0, 1.0), 0.0, 0.0, (0.0, 1.0), 0.0, 0.0, 0.0, 0.0, 0.0)


def _rng() -> np.random.Generator:
    return np.random.default_rng(0)


@pytest.mark.parametrize('angle', [0.0, math.pi / 4, math.pi / 2])
def test_streaks_run_through_the_lamp_in_their_direction(angle: float) -> None:
    image = np.zeros((128, 256, 3), np.float32)
    image[60:68, 124:132] = 20.0
    added = (add_streaks(image, (angle,), 0.5) - image)[..., 0]
    dx, dy = round(16 * math.cos(angle)), round(16 * math.sin(angle))
    along, across = added[64 - dy, 128 + dx], added[64 - dx, 128 - dy]
    assert along > 0.05 and along > 20 * across
    assert (add_streaks(image, (angle,), 0.0) == image).all()
    dim = np.full((128, 256, 3), 0.9, np.float32)
    np.testing.assert_array_equal(add_streaks(dim, (angle,), 1.0), dim)


def test_streaks_keep_the_light() -> None:
    image = np.zeros((128, 256, 3), np.float32)
    image[60:68, 124:132] = 20.0
    added = add_streaks(image, (0.3, 1.2), 0.5) - image
    assert added.sum() == pytest.approx(0.5 * 19.0 * 64 * 3, rel=0.01)


def test_levels_below_black_are_cut_and_lamps_saturate() -> None:
    radiance = np.full((96, 192, 3), 0.001, np.float32)
    radiance[40:56, 80:112] = 30.0
    picture = take(radiance, WORLD, replace(STILL, exposure=0.05, black=0.05), _rng())
    assert (picture[:20, :40] == 0).all() and (picture[44:52, 86:106] == 255).all()
    kept = take(radiance, WORLD, replace(STILL, exposure=0.05), _rng())
    assert (kept[:20, :40] > 0).all()


def test_the_automatic_exposure_approaches_its_aim() -> None:
    levels = []
    for light in (0.01, 1.0):
        picture = take(np.full((96, 192, 3), light, np.float32), WORLD, STILL, _rng())
        levels.append(float(picture[48, 96].mean()))
    assert 10 < levels[0] < levels[1] < 2 * levels[0] < 100  # a hundredfold in light


def test_the_cast_is_the_one_of_the_white_balance() -> None:
    radiance = np.full((96, 192, 3), 0.05, np.float32)
    blue, green, red = take(radiance, WORLD, replace(STILL, balance=(1.1, 1.0, 0.9)), _rng())[
        48, 96
    ]
    assert red > green > blue


def test_row_noise_moves_rows_as_a_whole_and_flicker_draws_bands() -> None:
    radiance = np.full((96, 192, 3), 0.05, np.float32)
    still = take(radiance, WORLD, STILL, _rng()).astype(np.float64)[..., 1]
    for change in ({'row': 0.002}, {'flicker': 0.2}):
        noisy = take(radiance, WORLD, replace(STILL, **change), _rng()).astype(np.float64)[..., 1]
        moved = noisy - still
        assert moved.mean(1).std() > 5 * moved.std(1).mean()
    shot = take(radiance, WORLD, replace(STILL, shot=0.002), _rng()).astype(np.float64)[..., 1]
    assert (shot - still).std(1).mean() > 5 * (shot - still).mean(1).std()


def test_drawn_states_are_noisier_the_darker_and_differ() -> None:
    states = [make_night_camera(np.random.default_rng(seed)) for seed in range(300)]
    dark = [s.read for s in states if s.exposure < 0.01]
    bright = [s.read for s in states if s.exposure > 0.03]
    assert np.mean(dark) > 1.3 * np.mean(bright)
    assert 60 < sum(s.streak == 0 for s in states) < 140
