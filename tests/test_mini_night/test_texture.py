from __future__ import annotations

import numpy as np
import pytest

from mmseg_ccdistill.mini_night.texture import hash01, noise, noise_tile


@pytest.mark.parametrize('octaves', [0, 1, 2])
def test_a_tile_has_mean_0_and_deviation_1_and_no_seam(octaves: int) -> None:
    tile = noise_tile(octaves)
    assert tile.shape == (256, 256) and tile.dtype == np.float32
    assert tile.mean() == pytest.approx(0, abs=1e-4) and tile.std() == pytest.approx(1, abs=1e-4)
    steps = np.abs(np.diff(tile, axis=0)).mean()
    seam = np.abs(tile[0] - tile[-1]).mean()
    assert seam == pytest.approx(steps, rel=0.35)


def test_more_octaves_are_grainier() -> None:
    steps = [np.abs(np.diff(noise_tile(octaves), axis=1)).mean() for octaves in (0, 1, 2)]
    assert steps[0] < steps[1] < steps[2]


def test_the_noise_repeats_every_256_texels() -> None:
    u, v = np.float32([0.3, 7.9, 100.2]), np.float32([5.5, 0.1, 60.4])
    np.testing.assert_array_equal(noise(u, v, 2.0), noise(u + np.float32(128), v, 2.0))
    assert noise(u, v, 2.0)[0] == noise_tile(1)[11, 0]


def test_a_hash_is_uniform_and_follows_cell_and_seed() -> None:
    a, b = (grid.ravel() for grid in np.meshgrid(np.arange(-100, 100), np.arange(-100, 100)))
    values = hash01(a, b, 3)
    assert values.dtype == np.float32 and values.min() >= 0 and values.max() < 1
    counts = np.histogram(values, bins=10, range=(0, 1))[0]
    assert np.abs(counts - 4000).max() < 300  # five standard deviations: 60 each
    np.testing.assert_array_equal(values, hash01(a, b, 3))
    assert abs(np.corrcoef(values, hash01(a, b, 4))[0, 1]) < 0.05
    assert abs(np.corrcoef(values, hash01(a + 1, b, 3))[0, 1]) < 0.05
