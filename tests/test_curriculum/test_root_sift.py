from __future__ import annotations

import cv2
import numpy as np
import pytest
from curriculum_numbers import normal

from mmseg_ccdistill.curriculum.root_sift import common_points, mutual_matches, root, root_sift

FIRST = normal(31, 64, 40)
FIRST /= np.linalg.norm(FIRST, axis=0)
ORDER = np.random.RandomState(32).permutation(40)[:25]
SECOND = np.concatenate([FIRST[:, ORDER] + 0.08 * normal(33, 64, 25), normal(34, 64, 15)], 1)
SECOND /= np.linalg.norm(SECOND, axis=0)


def texture(seed: int = 0) -> np.ndarray:
    noise = np.random.RandomState(seed).randint(0, 256, (180, 240)).astype(np.uint8)
    grey = cv2.normalize(cv2.GaussianBlur(noise, (0, 0), 2.5), None, 0, 255, cv2.NORM_MINMAX)
    return cv2.cvtColor(grey, cv2.COLOR_GRAY2BGR)


@pytest.mark.parametrize(('spread', 'number'), [(None, 25), (20.0, 25), (1.2, 5)])
def test_numbers_of_the_public_code(spread: float | None, number: int) -> None:
    matches = mutual_matches(FIRST.T, SECOND.T, spread=spread)
    assert len(matches) == number
    if number == 25:
        assert matches.sum(0).tolist() == [569, 300]
        assert (ORDER[matches[:, 1]] == matches[:, 0]).all()


def test_parts_of_the_table_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = mutual_matches(FIRST.T, SECOND.T)
    monkeypatch.setattr('mmseg_ccdistill.curriculum.root_sift._ROWS', 7)
    assert np.array_equal(mutual_matches(FIRST.T, SECOND.T), whole)


def test_a_match_is_clearly_the_nearest() -> None:
    one = np.eye(3)
    twins = np.array([[1, 0, 0], [1, 0.01, 0], [0, 1, 0]])
    twins /= np.linalg.norm(twins, axis=1, keepdims=True)
    assert mutual_matches(one[:2], twins).tolist() == [[0, 0], [1, 2]]
    far = np.array([[0.8, 0.6, 0], [0.8, 0, 0.6], [0, 1, 0]])
    assert mutual_matches(one[:2], far).tolist() == [[1, 2]]  # two are equally near to the first
    assert mutual_matches(one[:1], twins).shape == (0, 2)


def test_root_descriptors_have_length_one() -> None:
    descriptors = np.abs(normal(1, 5, 128)).astype(np.float32)
    np.testing.assert_allclose((root(descriptors) ** 2).sum(1), 1, rtol=1e-5)
    assert (root(np.zeros((1, 128), np.float32)) == 0).all()


def test_the_same_texture_in_the_dark_and_moved() -> None:
    day = texture()
    dark = np.roll(day, (4, 9), (0, 1)) // 2
    of_day, of_dark = common_points(day, dark, equalize=False)
    assert len(of_day) > 30
    moved = np.abs(of_dark - of_day - (9, 4)).max(1)
    assert np.median(moved) < 0.3 and (moved < 1).mean() > 0.9


def test_contrast_that_is_evened_out_brings_matches_at_night() -> None:
    day = texture()
    dark = np.roll(day, (4, 9), (0, 1)) // 6
    assert len(common_points(day, dark, equalize=False)[0]) < 5
    of_day, of_dark = common_points(day, dark)
    assert len(of_day) > 30
    assert np.median(np.abs(of_dark - of_day - (9, 4)).max(1)) < 0.5


def test_a_plain_image_has_nothing() -> None:
    black = np.zeros((60, 80, 3), np.uint8)
    assert root_sift(black).points.shape == (0, 2)
    assert common_points(texture(), black)[0].shape == (0, 2)
