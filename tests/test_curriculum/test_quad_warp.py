"""The warp: numbers of MGCDA's code, the cases that fail there, and scenes whose warp is known."""

from __future__ import annotations

import time

import numpy as np
import pytest
from curriculum_numbers import GENERIC_ROTATION, Array, normal, rotation, softmax, uniform

from mmseg_ccdistill.curriculum.camera import see_from
from mmseg_ccdistill.curriculum.quad_warp import (
    IRREGULAR,
    REGULAR,
    UNASSIGNED,
    Warped,
    bilinear_weights,
    contains,
    quad_warp,
)

PICTURE = softmax(normal(27, 14, 18, 19))
CAMERA = np.array([[20, 0, 8], [0, 20, 6], [0, 0, 1.0]])  # (9, 7) where the first pixel is 1
FLAT = np.full((14, 18), 5.0)
NEAR = (slice(4, 9), slice(6, 11))
STILL = np.eye(3)


def scene() -> Array:
    return 5 + 3 * uniform(26, 14, 18)


def warp(depth: Array, turn: Array, step: tuple[float, ...], picture: Array = PICTURE) -> Warped:
    seen = see_from(depth, CAMERA, turn, np.array(step))
    return quad_warp(picture, seen.places, seen.depth, seen.ahead)


@pytest.mark.parametrize(
    ('far', 'step', 'pixel', 'square', 'labels', 'counts'),
    [
        (
            False,
            (0.3, -0.1, 0.5),
            (0.01574097, 0.15498631, 0.05220369),
            22.4183278113,
            2306,
            (72, 180, 0),
        ),
        (
            True,
            (0.6, -0.1, 0.2),
            (0.02064297, 0.02908106, 0.03189258),
            21.8269687313,
            2419,
            (44, 174, 34),
        ),
    ],
    ids=['near', 'far'],
)
def test_numbers_of_the_public_code(
    far: bool,
    step: tuple[float, ...],
    pixel: tuple[float, ...],
    square: float,
    labels: int,
    counts: tuple[int, ...],
) -> None:
    """A generic scene, where the released warp has none of its errors; uncovered pixels keep the day's."""
    depth = scene()
    if far:
        depth = 30 + 10 * (depth - 5) / 3
    depth[NEAR] = 2
    values, source = warp(depth, GENERIC_ROTATION, step)
    values = np.where((source == UNASSIGNED)[..., None], PICTURE, values)
    np.testing.assert_allclose(values[7, 9, :3], pixel, atol=5e-9)
    assert (values**2).sum() == pytest.approx(square, abs=1e-9)
    assert values.argmax(-1).sum() == labels
    assert tuple(np.bincount(source.ravel(), minlength=3)) == counts


def test_standing_still_changes_nothing() -> None:
    values, source = warp(scene(), STILL, (0, 0, 0))
    np.testing.assert_allclose(values, PICTURE, atol=1e-9)
    assert (source == REGULAR).all()


def test_a_shift_by_whole_pixels() -> None:
    values, source = warp(FLAT, STILL, (0.5, 0, 0))
    np.testing.assert_allclose(values[:, 2:], PICTURE[:, :-2], atol=1e-9)
    assert (source[:, :2] == UNASSIGNED).all() and (source[:, 2:] == REGULAR).all()


@pytest.mark.parametrize('axis', [0, 1])
def test_a_shift_by_half_a_pixel(axis: int) -> None:
    step = [0.0, 0.0, 0.0]
    step[1 - axis] = 0.125
    values, _ = warp(FLAT, STILL, tuple(step))
    ahead, behind = (np.delete(PICTURE, end, axis) for end in (0, -1))
    np.testing.assert_allclose(np.delete(values, 0, axis), (ahead + behind) / 2, atol=1e-9)


def test_twice_as_far_and_twice_as_large_a_step() -> None:
    depth = scene()
    once = warp(depth, GENERIC_ROTATION, (0.3, -0.1, 0.5))
    twice = warp(2 * depth, GENERIC_ROTATION, (0.6, -0.2, 1.0))
    assert np.array_equal(once.values, twice.values)
    assert np.array_equal(once.source, twice.source)


def test_a_wall_turned_and_come_closer() -> None:
    """A plane across the view moves by a similarity; affine values follow it exactly."""
    turn, step = rotation('z', 7), (0.2, -0.1, -1.0)
    y, x = np.mgrid[:14, :18].astype(float)
    values, source = warp(FLAT, turn, step, np.stack([x, y], -1))
    plane = CAMERA @ (turn + np.outer(step, (0, 0, 1)) / 5) @ np.linalg.inv(CAMERA)
    back = np.stack([x, y, np.ones_like(x)], -1) @ np.linalg.inv(plane).T
    back = back[..., :2] / back[..., 2:]
    assert (source == REGULAR).mean() > 0.8
    np.testing.assert_allclose(values[source > 0], back[source > 0], atol=1e-9)


def test_a_near_board_before_a_wall() -> None:
    """To the side of a near object the wall shows, where it was hidden; the object hides the wall anew."""
    height, width = 40, 60
    camera = np.array([[50, 0, 29.5], [0, 50, 19.5], [0, 0, 1]])
    depth = np.full((height, width), 10.0)
    depth[10:30, 20:35] = 2.0
    label = np.eye(2)[(depth == 2.0).astype(int)]
    seen = see_from(depth, camera, STILL, np.array([0.4, 0, 0]))  # board 10 pixels, wall 2
    values, source = quad_warp(label, seen.places, seen.depth, seen.ahead)
    board = np.zeros((height, width), dtype=bool)
    board[10:30, 30:45] = True
    sure = source == REGULAR
    assert (values.argmax(-1) == board)[sure].all()
    torn = source == IRREGULAR
    assert torn[11:29, 23:30].all()  # what the board hid
    assert (values[torn, 0] == 1).all()  # is wall


def test_nearest_first_whatever_the_order() -> None:
    """Two layers that meet in one place: the near one is seen from either side."""
    depth = np.full((5, 12), 10.0)
    depth[:, :6] = 2.0
    x = np.arange(12.0)
    for step in (4.0, -4.0):
        places = np.zeros((5, 12, 2))
        places[..., 1] = np.arange(5)[:, None]
        places[..., 0] = np.where(np.arange(12) < 6, x + step, x)
        values, _ = quad_warp(depth[..., None], places, depth)
        moved = slice(4, 10) if step > 0 else slice(0, 2)
        assert (values[:, moved, 0] == 2.0).all()


def test_weights_are_the_inverse_of_the_bilinear_map() -> None:
    """Generic quads, parallelograms, vertical sides, and sides that run backwards."""
    base = np.array([[0, 0], [1, 0], [1, 1], [0, 1.0]])
    shapes = [
        base + 0.3 * uniform(1, 4, 2),
        base @ np.array([[2, 0.3], [-0.7, 1]]),
        base * (3, 1) + np.array([[0, 0], [0, 0.5], [0, 0.1], [0, 0]]),
        base[:, ::-1],
        -base,
        base + np.array([[0, 0], [0, 0], [1e-12, 1e-13], [0, 0]]),
    ]
    for corners in shapes:
        wanted = uniform(2, 50, 2)
        u, v = wanted.T
        weights = np.stack([(1 - u) * (1 - v), u * (1 - v), u * v, (1 - u) * v], 1)
        found = bilinear_weights(np.broadcast_to(corners, (50, 4, 2)), weights @ corners)
        np.testing.assert_allclose(found, weights, atol=1e-9)


def test_concave_and_crossed_quads_contain_what_they_enclose() -> None:
    arrow = np.array([[0, 0], [4, 0], [1, 1], [0, 4.0]])
    crossed = np.array([[0, 0], [2, 2], [2, 0], [0, 2.0]])
    points = np.array([[0.5, 0.5], [2.0, 2.0], [0.0, 2.0], [1.0, 0.1]])
    for corners, inside in ((arrow, [1, 0, 1, 1]), (crossed, [1, 1, 1, 0])):
        x, y = (np.repeat(c[:, None], 4, 1) for c in corners.T)
        assert contains(x, y, *points.T).astype(int).tolist() == inside


def test_places_that_are_none_take_no_part() -> None:
    places = np.stack(np.meshgrid(np.arange(4.0), np.arange(3.0)), -1)
    places[0, 0] = np.nan
    source = quad_warp(np.ones((3, 4, 1)), places, np.ones((3, 4))).source
    assert source[0, 0] == UNASSIGNED and (source.ravel()[1:] == REGULAR).all()
    with pytest.raises(ValueError, match='at least 2 x 2 pixels'):
        quad_warp(np.ones((3, 4, 1)), places[:2], np.ones((3, 4)))


@pytest.mark.slow
def test_a_quarter_of_full_hd_takes_about_a_second() -> None:
    depth = 60 - 50 * np.linspace(0, 1, 270)[:, None] * np.ones(480)
    depth[100:200, 100:180] = 6
    picture = softmax(normal(0, 270, 480, 19))
    camera = np.array([[381, 0, 239.5], [0, 381, 134.5], [0, 0, 1]])
    seen = see_from(depth, camera, GENERIC_ROTATION, np.array([0.4, 0, -4.7]))
    start = time.process_time()
    quad_warp(picture, seen.places, seen.depth, seen.ahead)
    assert time.process_time() - start < 3
