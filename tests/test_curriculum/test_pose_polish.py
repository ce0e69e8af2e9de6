from __future__ import annotations

import numpy as np
import pytest
from curriculum_numbers import Array, normal, rotation, uniform

from mmseg_ccdistill.curriculum.camera import intrinsics, rotation_degrees
from mmseg_ccdistill.curriculum.pose_polish import polish, sampson_distance

CAMERA = intrinsics((270, 480))
TURN, STEP = rotation('y', 2) @ rotation('x', 1), np.array([0.4, -0.1, -0.9])
DIRECTION = STEP / np.linalg.norm(STEP)


def places(noise: float) -> tuple[Array, Array]:
    day = uniform(5, 150, 2) * (479, 269)
    points = np.column_stack([day, np.ones(150)]) @ np.linalg.inv(CAMERA).T
    points *= (4 + 20 * uniform(6, 150))[:, None]
    flat = (points @ TURN.T + STEP) @ CAMERA.T
    return day, flat[:, :2] / flat[:, 2:] + noise * normal(7, 150, 2)


def test_exact_matches_are_on_their_lines() -> None:
    assert abs(sampson_distance(TURN, DIRECTION, *places(0), CAMERA)).max() < 1e-9


def test_distance_of_a_match_beside_its_line() -> None:
    """A sideways step: lines are rows; half of a vertical error lies with each image."""
    day, dark = np.array([[100.0, 50.0]]), np.array([[90.0, 51.0]])
    distance = sampson_distance(np.eye(3), np.array([1.0, 0, 0]), day, dark, CAMERA)
    assert abs(distance[0]) == pytest.approx(np.sqrt(0.5), abs=1e-12)


def test_a_pose_that_is_a_little_wrong_is_put_right() -> None:
    start = rotation('z', 1) @ TURN, np.array([0.5, 0, -0.8]) / np.linalg.norm([0.5, 0, -0.8])
    turn, direction = polish(*start, *places(0), CAMERA)
    np.testing.assert_allclose(turn, TURN, atol=1e-9)
    np.testing.assert_allclose(direction, DIRECTION, atol=1e-9)


def test_noise_of_half_a_pixel() -> None:
    start = rotation('z', 1) @ TURN, DIRECTION
    turn, direction = polish(*start, *places(0.5), CAMERA)
    assert rotation_degrees(turn @ TURN.T) < 0.15
    assert np.linalg.norm(direction) == pytest.approx(1)
    before, after = (
        (sampson_distance(*pose, *places(0.5), CAMERA) ** 2).sum()
        for pose in (start, (turn, direction))
    )
    assert after < 0.5 * before
