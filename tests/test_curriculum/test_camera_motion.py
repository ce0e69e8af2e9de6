"""Motion of the camera from points whose motion is known; the numbers are those of MGCDA's code."""

from __future__ import annotations

import numpy as np
import pytest
from curriculum_numbers import GENERIC_ROTATION, Array, rotation, uniform

from mmseg_ccdistill.curriculum.camera import focal_length, intrinsics
from mmseg_ccdistill.curriculum.camera_motion import camera_motion, path_length, relative_pose

CAMERA = np.array([[focal_length(1920), 0, 960], [0, focal_length(1920), 540], [0, 0, 1]])
POINTS = np.array(
    [
        [-2, 1, 3, 0, -1, 2, 0.5, -3, 1.5, -0.5, 2.5, -1.5],
        [1, -1, 0.5, 0.2, -0.7, 1.1, -1.3, 0.4, 0.9, -0.2, -0.9, 1.4],
        [8, 9, 10, 7, 12, 11, 6, 9.5, 8.5, 10.5, 7.5, 13],
    ]
).T
STEP = np.array([0.04, 0.02, -1])


def project(points: Array, camera: Array = CAMERA) -> Array:
    flat = points @ camera.T
    return flat[:, :2] / flat[:, 2:]


def test_pose_of_exact_points() -> None:
    pose = relative_pose(project(POINTS), project(POINTS @ GENERIC_ROTATION.T + STEP), CAMERA)
    assert pose is not None
    np.testing.assert_allclose(pose.rotation, GENERIC_ROTATION, atol=1e-9)
    np.testing.assert_allclose(
        pose.direction, [0.0399600599, 0.01998002995, -0.99900149750], atol=1e-9
    )
    assert pose.inliers.all()
    length = path_length(pose, POINTS[:, 2], np.zeros(12, dtype=bool))
    assert np.log(length) == pytest.approx(9.9900133e-4, abs=1e-9)


def test_fundamental_matrix_of_that_pose() -> None:
    pose = relative_pose(project(POINTS), project(POINTS @ GENERIC_ROTATION.T + STEP), CAMERA)
    assert pose is not None
    x, y, z = pose.direction
    essential = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]]) @ pose.rotation
    inverse = np.linalg.inv(CAMERA)
    matrix = inverse.T @ essential @ inverse
    matrix *= np.sign(matrix[2, 2]) / np.linalg.norm(matrix)
    expected = [1.442441928e-5, -7.881817395e-3, 7.563135516e-3, -1.281599953e-2, 0.999786848]
    np.testing.assert_allclose(matrix[[0, 0, 2, 2, 2], [1, 2, 0, 1, 2]], expected, atol=5e-10)


def street(turn: Array, step: Array, number: int = 200) -> tuple[Array, Array, Array]:
    """Places by day and in the dark of random points, a quarter of them wrong, and the depth of the day image."""
    camera = intrinsics((270, 480))
    place = uniform(5, number, 2) * (479, 269)
    depth = np.full((270, 480), 1.0)
    y, x = (np.floor(place.T + 0.5).astype(int))[::-1]
    depth[y, x] = 5 + 40 * uniform(6, number)
    points = np.column_stack([place, np.ones(number)]) @ np.linalg.inv(camera).T
    points *= depth[y, x][:, None]
    dark = project(points @ turn.T + step, camera)
    dark[: number // 4] = uniform(7, number // 4, 2) * (479, 269)
    return place, dark, depth


NO_SKY = np.zeros((270, 480), dtype=bool)


def test_motion_in_metres_among_wrong_matches() -> None:
    turn, step = rotation('y', 2), np.array([0.4, -0.04, -4.7])
    day, dark, depth = street(turn, step)
    motion = camera_motion(day, dark, depth, NO_SKY, intrinsics((270, 480)))
    assert motion.fault is None
    assert 140 <= motion.inliers <= 165
    np.testing.assert_allclose(motion.rotation, turn, atol=1e-4)
    np.testing.assert_allclose(motion.translation, step, atol=0.02)
    again = camera_motion(day, dark, depth, NO_SKY, intrinsics((270, 480)))
    assert np.array_equal(motion.translation, again.translation)


def test_the_sky_has_no_say_in_the_length() -> None:
    turn, step = rotation('y', 2), np.array([0.4, -0.04, -4.7])
    day, dark, depth = street(turn, step)
    depth[:, 240:] *= 100
    sky = np.zeros((270, 480), dtype=bool)
    sky[:, 240:] = True
    motion = camera_motion(day, dark, depth, sky, intrinsics((270, 480)))
    np.testing.assert_allclose(motion.translation, step, atol=0.02)
    motion = camera_motion(day, dark, depth, ~NO_SKY, intrinsics((270, 480)))
    assert motion.fault == 'no inlier before both cameras'


@pytest.mark.parametrize(
    ('turn', 'step', 'fault'),
    [
        (rotation('y', 0), (1.0, 0, -40), 'the cameras are more than 30 m apart'),
        (rotation('y', 21), (2.0, 0, 0), 'the cameras are turned by more than 20 degrees'),
    ],
)
def test_two_places_are_no_pair(turn: Array, step: tuple[float, ...], fault: str) -> None:
    day, dark, depth = street(turn, np.array(step))
    depth[depth > 1] *= 1
    scale = 1.0
    if step[2] < -30:  # points that stay before both cameras
        depth[depth > 1] += 45
        camera = intrinsics((270, 480))
        y, x = (np.floor(day.T + 0.5).astype(int))[::-1]
        rays = np.column_stack([day, np.ones(len(day))]) @ np.linalg.inv(camera).T
        dark = project(rays * depth[y, x][:, None] @ turn.T + np.array(step) * scale, camera)
    motion = camera_motion(day, dark, depth, NO_SKY, intrinsics((270, 480)))
    assert motion.fault == fault


def test_too_little_to_go_by() -> None:
    day, dark, depth = street(rotation('y', 2), np.array([0.4, 0, -4.7]))
    camera = intrinsics((270, 480))
    assert (
        camera_motion(day[-13:], dark[-13:], depth, NO_SKY, camera).fault == 'fewer than 14 matches'
    )
    wrong = camera_motion(day[:16], dark[:16], depth, NO_SKY, camera)
    assert wrong.fault == 'fewer than 14 inliers'
    assert relative_pose(day[:4], dark[:4], camera) is None
