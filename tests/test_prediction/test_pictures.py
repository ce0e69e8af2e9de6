"""Any picture becomes what training would have read: upright, in colour, 8 bits."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from PIL import Image
from tool_project import photo

from mmseg_ccdistill.errors import UserInputError
from mmseg_ccdistill.prediction.pictures import (
    BrokenPicture,
    Picture,
    PictureFiles,
    PicturePipeline,
    bgr_of,
)

_STEPS = [
    dict(type='LoadImageFromFile'),
    dict(type='Resize', scale=(48, 32), keep_ratio=True),
    dict(type='PackSegInputs'),
]
_RGB = photo(1)[:40, :, ::-1].copy()  # 96 x 40


def write_kind(kind: str, path) -> np.ndarray:
    """Write a picture of a kind and return what it shows, RGB."""
    grey = _RGB[..., :1].repeat(3, axis=2)
    if kind == 'grey':
        Image.fromarray(grey[..., 0]).save(path)
        return grey
    if kind == '16-bit grey':
        Image.fromarray(grey[..., 0].astype(np.uint16) * 256 + 7).save(path)
        return grey
    if kind == '16-bit colour':
        cv2.imwrite(str(path), _RGB[..., ::-1].astype(np.uint16) * 256 + 200)
        return _RGB
    if kind == 'opacity':
        alpha = np.full((*_RGB.shape[:2], 1), 9, np.uint8)
        Image.fromarray(np.concatenate([_RGB, alpha], axis=2)).save(path)
        return _RGB
    if kind == 'turned':
        exif = Image.Exif()
        exif[274] = 6  # the camera was turned: show it turned by 90 degrees clockwise
        Image.fromarray(_RGB).save(path, 'JPEG', exif=exif, quality=100, subsampling=0)
        return np.rot90(_RGB, k=-1)
    if kind == 'palette':
        flat = Image.fromarray(_RGB // 64 * 64).quantize(64)
        flat.save(path)
        return np.asarray(flat.convert('RGB'))
    Image.fromarray(_RGB).save(path)
    return _RGB


_LOSS = {'turned': 4}  # of JPEG
KINDS = ['colour', 'grey', '16-bit grey', '16-bit colour', 'opacity', 'turned', 'palette']


@pytest.mark.parametrize('kind', KINDS)
def test_files_of_every_kind(tmp_path, kind) -> None:
    path = tmp_path / ('a.jpg' if kind == 'turned' else 'a.png')
    expected = write_kind(kind, path)
    picture = PicturePipeline(_STEPS).read(path)
    assert isinstance(picture, Picture)
    assert picture.image.dtype == np.uint8
    np.testing.assert_allclose(
        picture.image[..., ::-1].astype(int), expected, atol=_LOSS.get(kind, 0), rtol=0
    )
    height, width = expected.shape[:2]
    scale = min(48 / max(height, width), 32 / min(height, width))
    size = tuple(int(side * scale + 0.5) for side in (height, width))
    assert tuple(picture.packed['inputs'].shape) == (3, *size)
    assert picture.packed['data_samples'].metainfo['ori_shape'] == (height, width)


@pytest.mark.parametrize('kind', [kind for kind in KINDS if kind != '16-bit colour'])
def test_pil_images_are_as_files(tmp_path, kind) -> None:
    path = tmp_path / 'a.png'
    expected = write_kind(kind, path)
    with Image.open(path) as image:
        np.testing.assert_allclose(
            bgr_of(image)[..., ::-1].astype(int), expected, atol=_LOSS.get(kind, 0), rtol=0
        )


@pytest.mark.parametrize('mode', ['I', 'I;16', 'I;16B', 'I;16L'])
def test_deep_grey_pil_images_are_scaled(mode) -> None:
    deep = _RGB[..., 0].astype(np.uint16) * 256 + 7
    kind = {'I': '<i4', 'I;16B': '>u2'}.get(mode, '<u2')
    image = Image.frombytes(mode, deep.shape[::-1], deep.astype(kind).tobytes())
    np.testing.assert_array_equal(bgr_of(image), np.stack([_RGB[..., 0]] * 3, axis=2))


@pytest.mark.parametrize(
    ('image', 'found'),
    [
        (Image.new('I', (5, 4), 65536), 'got int32 of shape (4, 5, 1)'),
        (Image.new('I', (5, 4), -1), 'got int32 of shape (4, 5, 1)'),
        (Image.new('I', (0, 4)), 'got int32 of shape (4, 0, 1)'),
        (Image.new('F', (5, 4), 0.5), 'got float32 of shape (4, 5, 1)'),
        (Image.new('F', (5, 4), 200), 'got float32 of shape (4, 5, 1)'),
        (Image.new('RGB', (0, 4)), 'got uint8 of shape (4, 0, 3)'),
    ],
)
def test_pil_images_that_eight_bits_cannot_hold_are_refused(image, found) -> None:
    with pytest.raises(UserInputError) as caught:
        bgr_of(image)
    assert str(caught.value) == (
        f'expected an image (H, W), (H, W, 3) RGB or (H, W, 4) RGBA of uint8 or uint16, {found}; convert it'
    )


@pytest.mark.parametrize('mode', ['1', 'L', 'LA', 'P', 'PA', 'RGB', 'RGBA', 'CMYK', 'YCbCr', 'HSV'])
def test_other_pil_modes_are_converted(mode) -> None:
    image = Image.fromarray(_RGB).convert(mode)
    np.testing.assert_array_equal(bgr_of(image)[..., ::-1], np.asarray(image.convert('RGB')))


def test_arrays_are_rgb() -> None:
    np.testing.assert_array_equal(bgr_of(_RGB), _RGB[..., ::-1])
    alpha = np.concatenate([_RGB, _RGB[..., :1]], axis=2)
    np.testing.assert_array_equal(bgr_of(alpha), _RGB[..., ::-1])
    deep = _RGB.astype(np.uint16) * 256 + 255
    np.testing.assert_array_equal(bgr_of(deep), _RGB[..., ::-1])
    grey = _RGB[..., 0]
    for array in (grey, grey[..., None]):
        np.testing.assert_array_equal(bgr_of(array), np.stack([grey] * 3, axis=2))


@pytest.mark.parametrize(
    ('image', 'found'),
    [
        (np.zeros((4, 4, 3)), 'got float64 of shape (4, 4, 3)'),
        (np.zeros((3, 4, 5), np.uint8), 'got uint8 of shape (3, 4, 5)'),
        (np.zeros((0, 4, 3), np.uint8), 'got uint8 of shape (0, 4, 3)'),
        (7, 'got int'),
    ],
)
def test_other_arrays_are_refused(image, found) -> None:
    with pytest.raises(UserInputError) as caught:
        bgr_of(image)
    assert str(caught.value).endswith(f'{found}; convert it')


def test_an_array_is_packed_as_its_file(tmp_path) -> None:
    path = tmp_path / 'a.png'
    Image.fromarray(_RGB).save(path)
    pipeline = PicturePipeline(_STEPS)
    one, other = pipeline.read(path), pipeline.take(bgr_of(_RGB))
    assert one.packed['inputs'].equal(other.packed['inputs'])
    assert other.name == ''


def test_broken_files_are_named(tmp_path) -> None:
    whole = tmp_path / 'whole.jpg'
    Image.fromarray(_RGB).save(whole)
    (tmp_path / 'half.jpg').write_bytes(whole.read_bytes()[:-400])
    (tmp_path / 'note.txt').write_text('no image')
    (tmp_path / 'empty.png').write_bytes(b'')
    names = ['half.jpg', 'note.txt', 'empty.png', 'whole.jpg', 'none.png']
    files = PictureFiles([str(tmp_path / name) for name in names], PicturePipeline(_STEPS))
    found = [files[index] for index in range(len(files))]
    assert [isinstance(item, BrokenPicture) for item in found] == [True, True, True, False, True]
    assert found[1].reason == 'no image header'
    assert found[4].reason == 'there is no such file'


def test_a_pipeline_must_read_files() -> None:
    with pytest.raises(UserInputError, match='does not begin with LoadImageFromFile'):
        PicturePipeline(_STEPS[1:])
