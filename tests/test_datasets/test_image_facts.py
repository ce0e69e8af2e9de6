"""Images that are larger than what reads them."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from tiny_data import picture, write

from mmseg_ccdistill.curation.audit.file_facts import Request, read_file
from mmseg_ccdistill.datasets.image_facts import (
    UnreadableFileError,
    read_facts,
    too_large_reason,
    unreadable_sentence,
)
from mmseg_ccdistill.datasets.unreadable import NamingPipeline, unreadable_reason

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
