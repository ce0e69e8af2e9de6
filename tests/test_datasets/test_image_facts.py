"""Is this image broken? One reader, with more or less of the file."""

from __future__ import annotations

import io
import re
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageFile
from tiny_data import picture, write

from mmseg_ccdistill.curation.audit.file_facts import Request, read_file
from mmseg_ccdistill.datasets.image_facts import (
    UnreadableFileError,
    read_facts,
    too_large_reason,
    unreadable_reason,
    unreadable_sentence,
)
from mmseg_ccdistill.datasets.unreadable import NamingPipeline

PILLOW = 'too large: expected at most 178956970 pixels (the limit of Pillow)'
OPENCV = 'too large: expected at most 1048576 pixels of width (the limit of OpenCV)'


def of_size(path: Path, width: int, height: int) -> str:
    """A PNG whose header tells a size."""
    content = write(path, picture(0)).read_bytes()
    header = b'IHDR' + struct.pack('>II', width, height) + content[24:29]
    path.write_bytes(content[:12] + header + struct.pack('>I', zlib.crc32(header)) + content[33:])
    return str(path)


@pytest.mark.parametrize(
    ('size', 'reason'), [((20000, 10000), PILLOW), ((2**20 + 1, 2), OPENCV)]
)  # fmt: skip
def test_every_reader_says_too_large_and_the_limit(tmp_path, size, reason) -> None:
    path = of_size(tmp_path / 'a.png', *size)
    with pytest.raises(UnreadableFileError) as info:
        read_facts(path, False)
    assert str(info.value) == reason
    assert unreadable_reason(path) == reason
    assert read_file(Request(path, False, False)).error == reason
    assert read_file(Request(path, True, True)).error == reason

    def fail(results: dict) -> dict:
        raise ValueError('what a transform says')

    with pytest.raises(ValueError) as info:
        NamingPipeline([fail])(dict(img_path=path))
    assert str(info.value) == (
        f'The file {path!r} is {reason}; make it smaller or cut it into tiles, and its label alike.'
    )


def test_a_broken_file_is_to_be_copied_again() -> None:
    assert unreadable_sentence('a.png', 'cut off') == (
        "The file 'a.png' cannot be read (cut off): expected a whole PNG or JPEG image; copy or download it "
        'again.'
    )


def test_the_limits_of_opencv_are_those_of_its_variables(monkeypatch) -> None:
    assert too_large_reason(2**20, 2**10) is None
    assert too_large_reason(2, 2**20 + 1) == (
        'too large: expected at most 1048576 pixels of height (the limit of OpenCV)'
    )
    assert too_large_reason(2**15 + 1, 2**15) == (
        'too large: expected at most 1073741824 pixels (the limit of OpenCV)'
    )
    monkeypatch.setenv('OPENCV_IO_MAX_IMAGE_WIDTH', '100')
    assert too_large_reason(101, 1) == (
        'too large: expected at most 100 pixels of width (the limit of OpenCV)'
    )
    monkeypatch.setenv('OPENCV_IO_MAX_IMAGE_WIDTH', '2MB')
    assert too_large_reason(101, 1) is None


def test_what_is_large_and_allowed_is_read(tmp_path) -> None:
    path = write(tmp_path / 'a.png', np.zeros((1, 5000), np.uint8))
    assert read_facts(str(path), True)[:4] == (5000, 1, 'L', (0,))


def broken(content: bytes, how: str) -> bytes:
    """A PNG that is broken in one way."""
    return {
        'empty': b'',
        'page': b'<!DOCTYPE html>',
        'half': content[: len(content) // 2],
        'no end': content[:-12],
        'bit': content[:200] + bytes([content[200] ^ 8]) + content[201:],
    }[how]


@pytest.mark.parametrize('how', ['empty', 'page', 'half', 'no end', 'bit'])
def test_whoever_decodes_gives_the_same_reason(tmp_path: Path, how: str) -> None:
    path = write(tmp_path / 'a.png', picture(0))
    path.write_bytes(broken(path.read_bytes(), how))
    reason = unreadable_reason(str(path))
    assert reason
    assert read_file(Request(str(path), True, False)).error == reason
    assert read_file(Request(str(path), True, True)).error == reason
    if how != 'bit':  # in the middle of a file that is whole at both ends
        with pytest.raises(UnreadableFileError, match=f'^{re.escape(reason)}$'):
            read_facts(str(path), False)
    with pytest.raises(UnreadableFileError, match=f'^{re.escape(reason)}$'):
        read_facts(str(path), False, decode=True, content=path.read_bytes())


def photo(kind: str) -> bytes:
    """A JPEG as a camera writes it: in one pass, in several, in grey, or with a second picture behind it."""
    image, buffer = Image.fromarray(picture(0, (200, 300))), io.BytesIO()
    if kind == 'two pictures':
        image.save(buffer, 'MPO', save_all=True, append_images=[image.rotate(180)])
    else:
        image = image.convert('L') if kind == 'grey' else image
        image.save(buffer, 'JPEG', progressive=kind == 'progressive')
    return buffer.getvalue()


@pytest.mark.parametrize('kind', ['baseline', 'progressive', 'grey', 'two pictures'])
def test_a_jpeg_that_is_cut_off_is_found_without_decoding_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    decoded: list[str] = []
    plain = ImageFile.ImageFile.load
    monkeypatch.setattr(
        ImageFile.ImageFile, 'load', lambda self: decoded.append(self.format) or plain(self)
    )
    path, whole = tmp_path / 'a.jpg', photo(kind)
    cuts = [whole[: len(whole) * share // 100] for share in (20, 45)]
    cuts += [whole[:-2]] if kind != 'two pictures' else []  # the end of a picture that nobody reads
    for content in cuts:
        path.write_bytes(content)
        for known in (None, content):
            with pytest.raises(UnreadableFileError, match='^image file is truncated'):
                read_facts(str(path), False, content=known)
        assert str(unreadable_reason(str(path))).startswith('image file is truncated')
    for tail, decodes in ((b'', 0), (b'\0' * 100, 0), (b'maker notes', 1)):
        path.write_bytes(whole + tail)
        decoded.clear()
        assert read_facts(str(path), False)[:2] == (300, 200)
        assert len(decoded) == decodes
        assert unreadable_reason(str(path)) is None


def test_a_missing_file_is_called_missing(tmp_path: Path) -> None:
    path = str(tmp_path / 'a.png')
    assert unreadable_reason(path) == 'there is no such file'
    assert {read_file(Request(path, decode, False)).error for decode in (True, False)} == {
        'there is no such file'
    }


def test_a_whole_file_has_the_same_facts_however_it_is_read(tmp_path: Path) -> None:
    label = np.random.RandomState(0).choice([0, 7, 255], (30, 20)).astype(np.uint8)
    path = str(write(tmp_path / 'a.png', label))
    facts = read_facts(path, True)
    assert facts[:4] == (20, 30, 'L', (0, 7, 255))
    content = Path(path).read_bytes()
    assert read_facts(path, True, decode=True, content=content) == facts
    assert unreadable_reason(path) is None
