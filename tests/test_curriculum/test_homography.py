from __future__ import annotations

import numpy as np
from curriculum_numbers import uniform

from mmseg_ccdistill.curriculum.homography import find_homography, see_plane

MATRIX = np.array([[1.02, 0.03, 5], [-0.02, 0.98, 3], [1e-5, 2e-5, 1]])
DAY = uniform(1, 100, 2) * (480, 270)


def moved(points: np.ndarray) -> np.ndarray:
    flat = np.column_stack([points, np.ones(len(points))]) @ MATRIX.T
    return flat[:, :2] / flat[:, 2:]


def test_it_is_found_among_wrong_matches() -> None:
    dark = moved(DAY)
    dark[:50] = uniform(2, 50, 2) * (480, 270)
    matrix, inliers, fault = find_homography(DAY, dark)
    assert fault is None and 50 <= inliers <= 53
    np.testing.assert_allclose(matrix / matrix[2, 2], MATRIX, rtol=1e-3, atol=1e-6)


def test_too_few_points_agree() -> None:
    assert find_homography(DAY[:29], moved(DAY[:29])).fault == 'fewer than 30 matches'
    assert find_homography(DAY[:30], moved(DAY[:30])).fault is None
    few = 'fewer than 30 inliers or 20% of the matches'
    assert find_homography(DAY, uniform(3, 100, 2) * (480, 270)).fault == few
    day = uniform(4, 200, 2) * (480, 270)
    dark = moved(day)
    dark[35:] = uniform(5, 165, 2) * (48000, 27000)  # 35 of 200
    plane = find_homography(day, dark)
    assert plane.inliers == 35 and plane.fault == few


def test_places() -> None:
    seen = see_plane(2 * MATRIX, (5, 7))
    np.testing.assert_allclose(seen.places[3, 4], moved(np.array([[4.0, 3.0]]))[0], atol=1e-12)
    assert seen.ahead.all()
    assert (
        not see_plane(np.diag([1.0, 1, 1]) - [[0, 0, 0], [0, 0, 0], [0.5, 0, 0]], (5, 7))
        .ahead[:, 2:]
        .any()
    )
