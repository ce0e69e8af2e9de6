"""Refinement from files: pairs, depth that is there or not, and what it says when files do not fit."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from curriculum_numbers import Array, normal, rotation, softmax
from plane_street import CAR, FIELD_OF_VIEW, SIZE, SKY, look

from mmseg_ccdistill.curriculum import PairRefinement, RefinementSettings, refine_day_night
from mmseg_ccdistill.curriculum.camera import intrinsics
from mmseg_ccdistill.errors import UserInputError

SETTINGS = RefinementSettings(
    align='geometry', field_of_view=FIELD_OF_VIEW, dynamic_classes=(CAR,), sky_class=SKY
)
CAMERA = intrinsics(SIZE, FIELD_OF_VIEW)
DAY = look(CAMERA, np.eye(3), np.zeros(3))
DARK = look(CAMERA, rotation('y', 1.5), np.array([0.5, -0.05, -1.2]), light=0.25)
P_DAY = np.moveaxis(np.eye(4)[DAY.label] * 0.6 + 0.1, -1, 0)
P_DARK = np.moveaxis(softmax(0.1 * normal(3, *SIZE, 4)), -1, 0)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    cv2.imwrite(str(tmp_path / 'day.png'), DAY.image)
    cv2.imwrite(str(tmp_path / 'dark.png'), DARK.image)
    (tmp_path / 'depth').mkdir()
    np.save(tmp_path / 'depth' / 'day.npy', DAY.depth)
    return tmp_path


def refiner(folder: Path, day: str = 'day.png', **settings: object) -> PairRefinement:
    def predict_day(path: str) -> Array:
        assert path == str(folder / day)
        return P_DAY

    given = dict(settings=SETTINGS, depth_root=folder / 'depth') | settings
    return PairRefinement({str(folder / 'dark.png'): str(folder / day)}, predict_day, **given)  # type: ignore[arg-type]


def test_a_pair_with_depth(folder: Path) -> None:
    refine = refiner(folder)
    refined = refine(P_DARK, str(folder / 'dark.png'))
    expected, how = refine_day_night(
        *(np.moveaxis(p, 0, -1) for p in (P_DARK, P_DAY)),
        DARK.image,
        DAY.image,
        SETTINGS,
        DAY.depth,
    )
    assert how['kind'] == 'warped'
    assert np.array_equal(refined, np.moveaxis(expected, -1, 0))
    assert refine.hows == {str(folder / 'dark.png'): how}


def test_fallbacks_are_counted(folder: Path) -> None:
    pairs = {'dark.png': 'day.png', 'dusk.png': 'day_without_depth.png'}
    for name in ('lone.png', 'dusk.png'):
        cv2.imwrite(str(folder / name), DARK.image)
    cv2.imwrite(str(folder / 'day_without_depth.png'), DAY.image)
    day_of = {str(folder / dark): str(folder / day) for dark, day in pairs.items()}
    refine = PairRefinement(day_of, lambda path: P_DAY, SETTINGS, folder / 'depth')
    assert list(refine.depth_of) == [str(folder / 'day.png')]
    assert np.array_equal(refine(P_DARK, str(folder / 'lone.png')), P_DARK)
    for dark in day_of:
        refine(P_DARK, dark)
    counts = refine.report()
    assert [counts[kind] for kind in ('alone', 'warped', 'homography', 'filtered')] == [1, 1, 1, 0]
    assert counts['reasons'] == {'no day image': 1, 'no depth': 1}


def test_files_that_do_not_fit(folder: Path) -> None:
    dark = str(folder / 'dark.png')
    np.save(folder / 'depth' / 'day.npy', DAY.depth[::2, ::2])
    with pytest.raises(
        UserInputError, match=r'dark\.png with day image .*day\.png: .*day\.npy has the shape'
    ):
        refiner(folder)(P_DARK, dark)
    cv2.imwrite(str(folder / 'day.png'), DAY.image[::2, ::2])
    with pytest.raises(UserInputError, match=r'day\.png: the images of a pair have the shapes'):
        refiner(folder, depth_root=None)(P_DARK, dark)
    with pytest.raises(UserInputError, match=r'gone\.png cannot be read as an image'):
        refiner(folder, 'gone.png', depth_root=None)(P_DARK, dark)


def test_depth_that_would_not_be_read(folder: Path) -> None:
    (folder / 'depth/day.npy').rename(folder / 'depth/another.npy')
    with pytest.raises(
        UserInputError,
        match=r'depth_root .*depth has no depth of the day images: expected a file for each, such as day\.png or '
        r'day\.npy for .*day\.png; ',
    ):
        refiner(folder)
    (folder / 'depth/day.npy').touch()
    (folder / 'depth/day.png').touch()
    with pytest.raises(UserInputError, match=r'day\.png and .*day\.npy are both there'):
        refiner(folder)
    with pytest.raises(UserInputError, match='depth_root .*nowhere is no folder'):
        refiner(folder, depth_root=folder / 'nowhere')
    with pytest.raises(UserInputError, match="align='filter' reads no depth"):
        refiner(folder, settings=RefinementSettings())


def test_two_day_images_do_not_share_a_file_of_depth(folder: Path) -> None:
    days = {
        'a': str(folder / 'A/day.png'),
        'b': str(folder / 'B/day.png'),
        'c': str(folder / 'A/day.png'),
    }
    with pytest.raises(UserInputError, match=r'A/day\.png and .*B/day\.png .* one file of depth'):
        PairRefinement(days, lambda path: P_DAY, SETTINGS, folder / 'depth')
    del days['b']
    PairRefinement(days, lambda path: P_DAY, SETTINGS, folder / 'depth')
