from __future__ import annotations

import numpy as np
import pytest

from mmseg_ccdistill.mini_night.sensor import glare, wet_reflection


def test_only_what_over_exposes_blooms() -> None:
    image = np.full((64, 128, 3), 0.7, np.float32)
    np.testing.assert_array_equal(glare(image, 1.0), image)
    image[28:36, 60:68] = 5.0
    bloomed = glare(image, 0.5)
    assert (bloomed >= image - 1e-6).all()
    near, far = bloomed[32, 72, 0] - 0.7, bloomed[2, 2, 0] - 0.7
    assert near > 10 * max(far, 1e-6)
    halo = glare(image, 0.5) - image
    np.testing.assert_allclose(glare(image, 1.0) - image, 2 * halo, rtol=1e-3, atol=1e-5)


def test_light_above_the_horizon_is_mirrored_on_wet_ground_alone() -> None:
    image = np.zeros((64, 128, 3), np.float32)
    image[8:16, 40:48] = 4.0
    ground = np.zeros((64, 128), bool)
    ground[32:, :64] = True
    wet = wet_reflection(image, ground, horizon=32.0, amount=0.5)
    added = (wet - image)[..., 0]
    assert (added[~ground] == 0).all()
    row, column = np.unravel_index(added.argmax(), added.shape)
    assert row == pytest.approx(63 - 11.5, abs=4) and column == pytest.approx(43.5, abs=4)
    assert (wet_reflection(image, ground, 32.0, 0.0) == image).all()
