from __future__ import annotations

import numpy as np
import pytest
from curriculum_numbers import uniform

from mmseg_ccdistill.curriculum.joint_upsampling import joint_upsampling


def test_numbers_of_the_public_code() -> None:
    large = joint_upsampling(uniform(35, 6, 9, 3), uniform(36, 16, 24, 3))
    np.testing.assert_allclose(large[0, 0], [0.45805495, 0.30834961, 0.23148705], atol=5e-9)
    np.testing.assert_allclose(large[7, 11], [0.64851069, 0.01502944, 0.07272491], atol=5e-9)
    assert large.sum() == pytest.approx(588.923195489, abs=1e-8)


def test_an_edge_of_the_guide_becomes_one_of_the_picture() -> None:
    small = np.zeros((4, 6, 1))
    small[:, 3:] = 1.0
    guide = np.zeros((16, 24, 1))
    guide[:, 12:] = 1.0
    np.testing.assert_allclose(joint_upsampling(small, guide), guide, atol=1e-6)


def test_a_smaller_guide() -> None:
    with pytest.raises(ValueError, match='a guide that is not smaller'):
        joint_upsampling(np.zeros((6, 9, 3)), np.zeros((5, 24, 3)))
