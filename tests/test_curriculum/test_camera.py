"""The camera: numbers of MGCDA's code, planes and infinity by their closed forms."""

from __future__ import annotations

import numpy as np
import pytest
from curriculum_numbers import rotation

from mmseg_ccdistill.curriculum.camera import (
    focal_length,
    intrinsics,
    resizing,
    rotation_degrees,
    see_from,
)
from mmseg_ccdistill.curriculum.homography import see_plane
from mmseg_ccdistill.errors import UserInputError

#: The released code's camera: the principal point in the middle of a picture counted from 1.
CAMERA = np.array([[focal_length(1920), 0, 960], [0, focal_length(1920), 540], [0, 0, 1]])
TURN, STEP = rotation('y', 2), np.array([0.5, 0, -5])


def test_focal_length() -> None:
    assert focal_length(1920, 64.4) == pytest.approx(1524.45412933834, abs=1e-10)
    with pytest.raises(UserInputError, match='field_of_view is 180.0: expected .* in degrees'):
        focal_length(1920, 180.0)


def test_the_camera_looks_through_the_middle_of_its_picture() -> None:
    camera = intrinsics((270, 480))
    assert camera[:2, 2].tolist() == [239.5, 134.5]  # 479 / 2: between the middle pixels


def test_resizing_keeps_the_field_of_view() -> None:
    small = resizing((1080, 1920), (270, 480)) @ intrinsics((1080, 1920))
    np.testing.assert_allclose(small, intrinsics((270, 480)), atol=1e-10)


@pytest.mark.parametrize(
    ('depth', 'place'),
    [(20.0, (1135.40953295, 620.16298711)), (1e12, (1053.32061931, 600.09163358))],
    ids=['20 m', 'infinity'],
)
def test_where_a_pixel_goes(depth: float, place: tuple[float, float]) -> None:
    seen = see_from(np.full((601, 1001), depth), CAMERA, TURN, STEP)
    np.testing.assert_allclose(seen.places[600, 1000], place, atol=1e-7)


def test_the_ground_moves_by_its_homography() -> None:
    normal = np.array([0, 1, 0])
    plane = CAMERA @ (TURN + np.outer(STEP, normal) / 1.6) @ np.linalg.inv(CAMERA)
    x, y, w = plane @ CAMERA @ np.array([1, 1.6, 12])
    np.testing.assert_allclose((x / w, y / w), (1380.27490631, 890.56051664), atol=1e-8)
    # below the horizon each pixel of the ground, by depth and by homography
    rays = np.mgrid[:1080, :1920][0][600:, ::64] - CAMERA[1, 2]
    depth = np.full((1080, 1920), 30.0)
    depth[600:, ::64] = 1.6 * CAMERA[1, 1] / rays
    seen, by_plane = see_from(depth, CAMERA, TURN, STEP), see_plane(plane, (1080, 1920))
    ahead = seen.ahead[600:, ::64]
    assert ahead.mean() > 0.5
    np.testing.assert_allclose(
        seen.places[600:, ::64][ahead], by_plane.places[600:, ::64][ahead], atol=1e-7
    )


def test_what_is_behind_the_camera_is_not_seen() -> None:
    seen = see_from(np.full((4, 6), 3.0), intrinsics((4, 6)), np.eye(3), np.array([0, 0, -2.95]))
    assert not seen.ahead.any()
    assert np.isfinite(seen.places).all()


@pytest.mark.parametrize('angle', [0.0, 2.0, 20.0, 179.0])
def test_angle_of_a_rotation(angle: float) -> None:
    assert rotation_degrees(rotation('x', angle)) == pytest.approx(angle, abs=1e-9)
