"""Refinement of a dark prediction by the day's: scenes whose geometry is known, fallbacks and bad input."""

from __future__ import annotations

import json
from functools import cache

import numpy as np
import pytest
from curriculum_numbers import Array, normal, rotation, softmax
from plane_street import CAR, FIELD_OF_VIEW, SIZE, SKY, Picture, look

from mmseg_ccdistill.curriculum import (
    RefinementSettings,
    refine_day_night,
)
from mmseg_ccdistill.curriculum.camera import intrinsics
from mmseg_ccdistill.curriculum.confidence_fusion import fuse
from mmseg_ccdistill.curriculum.lab_guide import lab_guide
from mmseg_ccdistill.curriculum.refinement import into_dark_view
from mmseg_ccdistill.curriculum.window_filter import window_filter
from mmseg_ccdistill.errors import UserInputError

CAMERA = intrinsics(SIZE, FIELD_OF_VIEW)
TURN, STEP = rotation('y', 1.5) @ rotation('x', -0.5), np.array([0.5, -0.05, -1.2])
SETTINGS = dict(field_of_view=FIELD_OF_VIEW, dynamic_classes=(CAR,), sky_class=SKY)
GEOMETRY = RefinementSettings(align='geometry', **SETTINGS)  # type: ignore[arg-type]


@cache
def pair() -> tuple[Picture, Picture]:
    return look(CAMERA, np.eye(3), np.zeros(3)), look(CAMERA, TURN, STEP, light=0.25)


def sure(label: Array, confidence: float = 0.9) -> Array:
    return np.eye(4)[label] * (confidence - (1 - confidence) / 3) + (1 - confidence) / 3


def unsure(label: Array) -> Array:
    return softmax(0.1 * normal(3, *label.shape, 4))


def right(prediction: Array, label: Array) -> float:
    return float((prediction.argmax(-1) == label).mean())


def test_geometry_brings_the_day_into_the_dark_view() -> None:
    day, dark = pair()
    aligned, covered, how = into_dark_view(
        sure(day.label), dark.image, day.image, GEOMETRY, day.depth
    )
    assert how['kind'] == 'warped' and how['reason'] is None
    assert how['inliers'] > 60
    assert how['distance'] == pytest.approx(float(np.linalg.norm(STEP)), rel=0.03)
    assert how['rotation'] == pytest.approx(1.58, abs=0.15)
    assert how['unassigned'] == pytest.approx(1 - covered.mean())
    unwarped = right(sure(day.label), dark.label)
    assert unwarped < 0.93
    assert right(aligned, dark.label) > 0.97
    assert right(aligned[covered], dark.label[covered]) > 0.985


def test_the_whole_refinement() -> None:
    day, dark = pair()
    p_dark = unsure(dark.label)
    refined, how = refine_day_night(
        p_dark, sure(day.label), dark.image, day.image, GEOMETRY, day.depth
    )
    assert refined.dtype == p_dark.dtype
    np.testing.assert_allclose(refined.sum(-1), 1, atol=1e-12)
    assert right(refined, dark.label) > 0.9 > right(p_dark, dark.label)
    assert json.loads(json.dumps(how)) == how
    assert how['day_confidence'] > 0.8 > 0.3 > how['dark_confidence']
    assert how['changed'] == pytest.approx((refined.argmax(-1) != p_dark.argmax(-1)).mean())
    again, same = refine_day_night(
        p_dark, sure(day.label), dark.image, day.image, GEOMETRY, day.depth
    )
    assert np.array_equal(again, refined) and same == how


def test_a_coarser_grid_of_predictions() -> None:
    """The prediction may be smaller than the image: the same warp on every second pixel."""
    day, dark = pair()
    small = (slice(None, None, 2), slice(None, None, 2))
    aligned, _, how = into_dark_view(
        sure(day.label[small]), dark.image, day.image, GEOMETRY, day.depth
    )
    assert how['kind'] == 'warped'
    assert right(aligned, dark.label[small]) > 0.95


def test_uncovered_pixels() -> None:
    day, dark = pair()
    p_dark, p_day = unsure(dark.label), sure(day.label)
    _, covered, _ = into_dark_view(p_day, dark.image, day.image, GEOMETRY, day.depth)
    assert 0.003 < (~covered).mean() < 0.2
    with_day, _ = refine_day_night(p_dark, p_day, dark.image, day.image, GEOMETRY, day.depth)
    alone = RefinementSettings(align='geometry', unassigned='dark', **SETTINGS)  # type: ignore[arg-type]
    without, _ = refine_day_night(p_dark, p_day, dark.image, day.image, alone, day.depth)
    unwarped = fuse(p_dark, p_day, (CAR,)).probabilities
    np.testing.assert_allclose(with_day[~covered], unwarped[~covered], atol=1e-14)
    assert np.array_equal(without[~covered], p_dark[~covered])
    assert np.array_equal(without[covered], with_day[covered])


def test_the_filter_is_the_window_at_a_24th_of_the_width() -> None:
    day, dark = pair()
    p_dark, p_day = unsure(dark.label), sure(day.label)
    settings = RefinementSettings(**SETTINGS)  # type: ignore[arg-type]
    refined, how = refine_day_night(p_dark, p_day, dark.image, day.image, settings)
    assert how['kind'] == 'filtered' and how['reason'] is None
    smooth = window_filter(p_day, lab_guide(dark.image), 10, 0.1, radius=10, step=2)
    assert np.array_equal(refined, fuse(p_dark, smooth, (CAR,)).probabilities)
    settings = RefinementSettings(filter='grid', **SETTINGS)  # type: ignore[arg-type]
    other, _ = refine_day_night(p_dark, p_day, dark.image, day.image, settings)
    assert 0 < abs(other - refined).max() and abs(other - refined).mean() < 0.02


def test_without_depth_a_plane_is_tried_and_then_the_filter() -> None:
    day, dark = pair()
    p_day = sure(day.label)
    plane = RefinementSettings(align='homography', **SETTINGS)  # type: ignore[arg-type]
    for settings in (GEOMETRY, plane):  # a wall across the view, turned: a homography
        turned = look(CAMERA, rotation('y', 3), np.zeros(3), light=0.25)
        aligned, covered, how = into_dark_view(p_day, turned.image, day.image, settings, None)
        assert how['kind'] == 'homography' and how['inliers'] >= 30
        assert right(aligned[covered], turned.label[covered]) > 0.985
    black = np.zeros_like(dark.image)
    for settings, reason in (
        (GEOMETRY, 'no depth, and fewer than 30 matches'),
        (plane, 'fewer than 30 matches'),
    ):
        smooth, _, how = into_dark_view(p_day, black, day.image, settings, None)
        assert how['kind'] == 'filtered' and how['reason'] == reason
        expected, _, _ = into_dark_view(p_day, black, day.image, RefinementSettings(), None)
        assert np.array_equal(smooth, expected)
    _, _, how = into_dark_view(p_day, black, day.image, GEOMETRY, day.depth)
    assert how == dict(kind='filtered', reason='fewer than 14 matches', matches=0, inliers=0)


def test_without_a_day_image_the_prediction_stays() -> None:
    _, dark = pair()
    p_dark = unsure(dark.label)
    refined, how = refine_day_night(p_dark, None, dark.image, None, GEOMETRY)
    assert refined is p_dark
    assert how == {'kind': 'alone', 'reason': 'no day image'}


def test_depth_of_another_unit_that_is_only_a_factor() -> None:
    """The path is as long as the depth says, so the warp is the same."""
    day, dark = pair()
    far = np.where(day.label == SKY, 540, 1.5 * day.depth)
    one, _, _ = into_dark_view(sure(day.label), dark.image, day.image, GEOMETRY, day.depth)
    other, _, how = into_dark_view(sure(day.label), dark.image, day.image, GEOMETRY, far)
    assert how['distance'] == pytest.approx(1.5 * float(np.linalg.norm(STEP)), rel=0.03)
    assert (one.argmax(-1) != other.argmax(-1)).mean() < 0.005


@pytest.mark.parametrize(
    ('change', 'sentence'),
    [
        (dict(p_day=np.full((90, 120, 4), 0.25)), r'predictions of a pair have the shapes \(180, 240, 4\) \(dark\)'),
        (dict(image_day=np.zeros((90, 120, 3), np.uint8)), 'images of a pair have the shapes'),
        (dict(p_dark=np.full((180, 240, 4), 0.3)), 'p_dark does not sum to 1 .* take the softmax'),
        (dict(p_day=normal(1, 180, 240, 4)), 'p_day does not sum to 1'),
        (dict(p_day=np.zeros((180, 240), np.int64)), r'p_day is int64 of shape \(180, 240\)'),
        (dict(depth=np.full((90, 120), 8.0)), r'depth has the shape \(90, 120\): expected that of the day image'),
        (dict(depth=np.full((180, 240), 8000.0)), 'depth has the median 8000: expected metres'),
        (dict(depth=np.full((180, 240), 8, np.uint16)), 'depth holds uint16: expected metres in floating point'),
        (dict(settings=RefinementSettings()), 'refine.dynamic_classes names class 11, but the prediction has 4'),
    ],
)  # fmt: skip
def test_bad_input(change: dict, sentence: str) -> None:
    day, dark = pair()
    given = dict(
        p_dark=unsure(dark.label),
        p_day=sure(day.label),
        image_dark=dark.image,
        image_day=day.image,
        settings=GEOMETRY,
        depth=day.depth,
    )
    with pytest.raises(UserInputError, match=sentence):
        refine_day_night(**{**given, **change})
