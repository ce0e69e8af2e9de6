"""A trained model in three lines of Python."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from PIL import Image
from tool_project import photo

import mmseg_ccdistill
from mmseg_ccdistill import Segmenter
from mmseg_ccdistill.errors import UserInputError


def test_three_lines(trained_file, photos) -> None:
    segmenter = Segmenter.from_pretrained(trained_file)
    result = segmenter(photos / 'one.png')
    assert result.labels.shape == (64, 96) and result.labels.dtype == np.uint8
    assert result.probabilities.shape == (19, 64, 96)
    np.testing.assert_allclose(result.probabilities.sum(axis=0), 1, atol=1e-5)
    assert result.picture.size == (96, 64)
    assert sum(result.shares.values()) == pytest.approx(1)


def test_paths_arrays_and_pil_images_are_one(segmenter, photos) -> None:
    path = photos / 'one.png'
    expected = segmenter(str(path)).probabilities
    np.testing.assert_array_equal(segmenter(photo(1)[..., ::-1]).probabilities, expected)
    with Image.open(path) as image:
        np.testing.assert_array_equal(segmenter(image).probabilities, expected)


def test_a_branch_for_one_image(segmenter, photos) -> None:
    path = photos / 'one.png'
    night, day, again = segmenter(path), segmenter(path, branch='day'), segmenter(path)
    assert not np.array_equal(night.probabilities, day.probabilities)
    np.testing.assert_array_equal(night.probabilities, again.probabilities)
    with pytest.raises(UserInputError, match='twilight'):
        segmenter(path, branch='twilight')
    assert segmenter.trained.branch == 'night'


def test_a_config_file_may_be_named(project, photos) -> None:
    segmenter = Segmenter.from_pretrained(project / 'bare.pth', project / 'tiny.py', device='cpu')
    assert segmenter(photos / 'two.jpg').labels.shape == (50, 70)
    assert len(segmenter.classes) == len(segmenter.palette) == 19
    assert segmenter.branches == ('day', 'night')


def test_a_broken_file_is_one_sentence(segmenter, tmp_path) -> None:
    path = tmp_path / 'a.jpg'
    path.write_text('no image')
    with pytest.raises(UserInputError) as caught:
        segmenter(path)
    assert str(caught.value) == (
        f"The file '{path}' cannot be read (no image header): expected a whole PNG or JPEG image; copy or download "
        'it again.'
    )


def test_training_does_not_import_it() -> None:
    code = (
        'import sys, mmseg_ccdistill as m; n = "mmseg_ccdistill.prediction.segmenter"; '
        'assert n not in sys.modules; m.Segmenter; assert n in sys.modules'
    )
    subprocess.run([sys.executable, '-W', 'ignore', '-c', code], check=True)
    with pytest.raises(AttributeError, match="has no attribute 'Segmenters'"):
        mmseg_ccdistill.Segmenters  # noqa: B018
