"""What the page makes of a photo, without a browser."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

from mmseg_ccdistill.errors import UserInputError
from mmseg_ccdistill.prediction.page import (
    SHOWN_SIDE,
    PhotoReader,
    agreement,
    check_size,
    legend,
    save_downloads,
    shown,
)
from mmseg_ccdistill.prediction.segmentation import Segmentation


def result_of(labels: list[list[int]]) -> Segmentation:
    label = torch.tensor(labels)
    logits = torch.nn.functional.one_hot(label, 3).permute(2, 0, 1).float()
    image = np.zeros((*label.shape, 3), np.uint8)
    return Segmentation(logits, image, ('road', '<b>', 'sky'), [(1, 2, 3), (4, 5, 6), (7, 8, 9)])


def test_the_legend_has_the_classes_that_occur() -> None:
    text = legend(result_of([[1, 1, 1, 2]]))
    assert text == (
        '<ul class="legend" aria-label="Classes">'
        '<li><span class="swatch" style="background: rgb(4, 5, 6)"></span>&lt;b&gt; <b>75.0%</b></li>'
        '<li><span class="swatch" style="background: rgb(7, 8, 9)"></span>sky <b>25.0%</b></li></ul>'
    )
    rare = [[0] * 1999 + [2]]
    assert 'sky <b>&lt; 0.1%</b>' in legend(result_of(rare))


def test_agreement_is_a_share() -> None:
    assert agreement(result_of([[0, 1, 2, 2]]), result_of([[0, 1, 2, 0]])) == 0.75


def test_pictures_fit_the_page() -> None:
    large = Image.new('RGB', (4 * SHOWN_SIDE, 2 * SHOWN_SIDE))
    assert shown(large).size == (SHOWN_SIDE, SHOWN_SIDE // 2)
    small = Image.new('RGB', (10, 20))
    assert shown(small) is small
    assert shown(Image.new('RGB', (10 * SHOWN_SIDE, 1))).size == (SHOWN_SIDE, 1)


def test_a_photo_is_read_once_and_deleted(segmenter, photos) -> None:
    reader = PhotoReader(segmenter, 25)
    path = photos / 'one.png'
    expected = [segmenter(path, branch) for branch in ('day', 'night')]
    found = reader(str(path))
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_array_equal(one.labels, other.labels)
    assert not path.exists()


def test_what_cannot_be_read_is_deleted_too(segmenter, tmp_path) -> None:
    path = tmp_path / 'night.png'
    path.write_text('no image')
    with pytest.raises(UserInputError) as caught:
        PhotoReader(segmenter, 25)(str(path))
    assert str(caught.value) == (
        "The file 'night.png' cannot be read (no image header): expected a whole PNG or JPEG image; copy or download "
        'it again.'
    )
    assert not path.exists()


def test_too_many_pixels_are_one_sentence(tmp_path, segmenter) -> None:
    path = tmp_path / 'night.png'
    Image.new('L', (2000, 1000)).save(path)
    check_size(path, 2)
    with pytest.raises(UserInputError) as caught:
        PhotoReader(segmenter, 1.5)(str(path))
    assert str(caught.value) == (
        'The photo has 2000 x 1000 pixels: expected at most 1.5 million; make it smaller.'
    )
    assert not path.exists()


def test_an_export_has_no_pair_of_branches(exported, photos) -> None:
    from mmseg_ccdistill import Segmenter

    reader = PhotoReader(Segmenter.from_pretrained(exported.with_suffix('.pth'), device='cpu'), 25)
    assert reader.pair is None
    assert len(reader(str(photos / 'one.png'))) == 1


def test_downloads_have_the_size_of_the_photo(tmp_path) -> None:
    labels, overlay = save_downloads(result_of([[0, 1, 2, 2]]), str(tmp_path))
    with Image.open(labels) as image:
        assert image.mode == 'L' and np.asarray(image).tolist() == [[0, 1, 2, 2]]
    with Image.open(overlay) as image:
        assert image.size == (4, 1)
