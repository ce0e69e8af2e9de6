from __future__ import annotations

import numpy as np
import pytest

from mmseg_ccdistill.curriculum.lab_guide import lab_guide


def test_the_scale_of_the_released_code() -> None:
    red, grey = (0, 0, 255), (128, 128, 128)
    guide = lab_guide(np.array([[red, grey]], dtype=np.uint8))
    np.testing.assert_allclose(guide[0, 0], [0.5324, 0.8009, 0.6720], atol=1e-4)  # from grey on
    np.testing.assert_allclose(guide[0, 1], [0.5359, 0, 0], atol=1e-4)


def test_the_shift_keeps_distances() -> None:
    image = np.random.RandomState(0).randint(0, 256, (6, 8, 3)).astype(np.uint8)
    guide = lab_guide(image)
    assert guide[..., 1:].min((0, 1)) == pytest.approx([0, 0])
    alone = lab_guide(image[:1, :2])
    np.testing.assert_allclose(guide[0, 1] - guide[0, 0], alone[0, 1] - alone[0, 0], atol=1e-12)


def test_a_smaller_guide_is_the_mean_over_the_area() -> None:
    image = np.repeat(np.repeat(np.uint8([[[10, 20, 30], [200, 100, 50]]]), 4, 0), 4, 1)
    np.testing.assert_allclose(lab_guide(image, (1, 2)), lab_guide(image)[:1, ::4], atol=1e-3)
