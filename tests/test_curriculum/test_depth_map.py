"""Depth: the decoding of MGCDA's files, and files that are none."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from mmseg_ccdistill.curriculum.depth_map import (
    SKY_DEPTH,
    find_depth,
    monodepth2_metres,
    read_depth,
    with_far_sky,
)
from mmseg_ccdistill.errors import UserInputError

#: Far above, near below.
STREET = np.repeat([[0.9], [0.5], [0.2], [0.1]], 6, axis=1)


def test_numbers_of_the_public_code() -> None:
    metres = monodepth2_metres(np.array([0, 1, 655, 6553, 65535], np.uint16))
    expected = [540, 531.891965010, 49.1594432405, 5.35223780101, 0.54]
    np.testing.assert_allclose(metres, expected, rtol=1e-11)


def test_the_sky_is_far() -> None:
    depth = with_far_sky([[3.0, 4.0]], [[True, False]])
    assert depth.tolist() == [[540.0, 4.0]]
    assert SKY_DEPTH == 540


def test_files(tmp_path: Path) -> None:
    levels = np.full((4, 6), 3000, np.uint16)
    cv2.imwrite(str(tmp_path / 'a.png'), levels)
    np.save(tmp_path / 'b.npy', np.full((4, 6), 7, np.float32))
    np.save(tmp_path / 'street.npy', 100 * STREET)
    assert (read_depth(tmp_path / 'street.npy', (4, 6)) == 100 * STREET).all()
    found = find_depth(tmp_path, 'a')
    assert found is not None
    assert read_depth(found, (4, 6)) == pytest.approx(monodepth2_metres(levels))
    assert (read_depth(tmp_path / 'b.npy', (4, 6)) == 7).all()
    assert find_depth(tmp_path, 'c') is None
    np.save(tmp_path / 'a.npy', np.ones((4, 6)))
    with pytest.raises(UserInputError, match=r'a\.png and .*a\.npy are both there: leave the one'):
        find_depth(tmp_path, 'a')


@pytest.mark.parametrize(
    ('content', 'sentence'),
    [
        (np.full((4, 5), 7.0), r'shape \(4, 5\): expected that of the day image, \(4, 6\)'),
        (np.full((4, 6), 7), 'holds int64: expected metres in floating point'),
        (np.full((4, 6), 7000.0), 'median 7000: expected metres, 1 to 1000 in a street'),
        (np.full((4, 6), 0.05), 'median 0.05: expected metres'),
        (1 / STREET, r'median 1\.556 in its upper half and 10 in its lowest rows: expected metres'),
        (np.zeros((4, 6)), 'not finite or not positive'),
        (np.full((4, 6), np.inf), 'not finite or not positive'),
    ],
    ids=['size', 'whole numbers', 'millimetres', 'small', 'disparity', 'zero', 'infinite'],
)
def test_an_array_that_holds_no_metres(tmp_path: Path, content: np.ndarray, sentence: str) -> None:
    np.save(tmp_path / 'd.npy', content)
    with pytest.raises(UserInputError, match=sentence) as error:
        read_depth(tmp_path / 'd.npy', (4, 6))
    assert 'd.npy' in str(error.value)


def test_pictures_that_hold_no_disparities(tmp_path: Path) -> None:
    expected = 'expected the 16-bit disparities of Monodepth2 in one channel'
    cv2.imwrite(str(tmp_path / 'd.png'), np.zeros((4, 6, 3), np.uint8))
    with pytest.raises(UserInputError, match=rf'uint8 of shape \(4, 6, 3\): {expected}'):
        read_depth(tmp_path / 'd.png', (4, 6))
    (tmp_path / 'e.png').write_bytes(b'no picture')
    with pytest.raises(UserInputError, match=f'e.png holds no image: {expected}'):
        read_depth(tmp_path / 'e.png', (4, 6))
    (tmp_path / 'f.npy').write_bytes(b'no array')
    with pytest.raises(UserInputError, match='f.npy cannot be read as an array'):
        read_depth(tmp_path / 'f.npy', (4, 6))
