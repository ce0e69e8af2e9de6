"""Facts of one image file: size, orientation, label values and the colours that they show."""

from __future__ import annotations

import io
import os
import stat
from typing import NamedTuple

import cv2
import numpy as np
from PIL import Image, UnidentifiedImageError

from .image_orientation import UPRIGHT, read_orientation
from .label_palette import read_palette

# Bytes at the end of a PNG that are looked at: its closing chunk, and an eXIf chunk if it comes after
# the pixels (Exif of a JPEG, where most of it comes from, is at most one segment of 64 KiB).
TAIL_BYTES = 2**16
_END_BYTES = 1024  # the closing chunk of a PNG, the end marker of a JPEG lie within these last ones
_JPEG = ('JPEG', 'MPO')  # MPO: a JPEG with more pictures behind it
_JPEG_END = b'\xff\xd9'  # EOI (ITU-T T.81, B.1.1.3)

# OpenCV's limits (modules/imgcodecs/src/loadsave.cpp) and the variables that change them.
_OPENCV_LIMITS = (
    ('OPENCV_IO_MAX_IMAGE_WIDTH', 2**20),
    ('OPENCV_IO_MAX_IMAGE_HEIGHT', 2**20),
    ('OPENCV_IO_MAX_IMAGE_PIXELS', 2**30),
)

#: Pillow's ways to say that a file is broken.
PILLOW_ERRORS = (OSError, ValueError, SyntaxError, Image.DecompressionBombError)

# What the reason of an image above a limit begins with.
_TOO_LARGE = 'too large'


class FileStamp(NamedTuple):
    """What tells a file from a changed one: modification time in ns and size in bytes."""

    mtime_ns: int
    size: int


class ImageFacts(NamedTuple):
    """What is known of one image file.

    Attributes:
        width: Width of the stored pixels.
        height: Height of the stored pixels.
        mode: Pillow's name of the pixel format, e.g. ``'RGB'``, ``'L'`` or ``'P'``.
        values: Sorted distinct pixel values of a label; None where they were not asked for or the
            file has several channels.
        orientation: EXIF orientation, 1 to 8; 1 is upright.
        palette: Colours of the indices of a label, ``'rrggbb'`` after ``'rrggbb'`` in hexadecimal;
            empty for a label whose values are its greys, and where no values were asked for.
    """

    width: int
    height: int
    mode: str
    values: tuple[int, ...] | None = None
    orientation: int = UPRIGHT
    palette: str = ''


class UnreadableFileError(Exception):
    """A file that is no image, only the beginning of one, or larger than can be read."""


def unreadable_sentence(
    path: str, reason: str, fix: str = 'copy or download it again', role: str = 'file'
) -> str:
    """Say that a file cannot be read, what was expected and how to fix it.

    Args:
        path: The file.
        reason: Why it cannot be read, in the words of :func:`unreadable_reason_of`.
        fix: What helps against a broken file.
        role: What the file is.
    """
    if reason.startswith(_TOO_LARGE):
        return (
            f'The {role} {path!r} is {reason}; make it smaller or cut it into tiles, '
            'and its label alike.'
        )
    return (
        f'The {role} {path!r} cannot be read ({reason}): expected a whole PNG or JPEG image; {fix}.'
    )


def unreadable_reason_of(error: Exception) -> str:
    """Say in a few words why Pillow or OpenCV could not read a file."""
    if isinstance(error, Image.DecompressionBombError):
        return _too_large(f'{2 * (Image.MAX_IMAGE_PIXELS or 0)} pixels (the limit of Pillow)')
    if isinstance(error, FileNotFoundError):
        return 'there is no such file'
    if isinstance(error, UnidentifiedImageError):
        return 'no image header'
    return str(error) or type(error).__name__


def too_large_reason(width: int, height: int) -> str | None:
    """Say that OpenCV does not read an image of this size, or None if it does."""
    found = (width, height, width * height)
    units = ('pixels of width', 'pixels of height', 'pixels')
    for value, unit, (variable, default) in zip(found, units, _OPENCV_LIMITS, strict=True):
        try:
            limit = int(os.environ.get(variable, default))
        except ValueError:  # a number with a unit, which OpenCV alone understands
            limit = default
        if value > limit:
            return _too_large(f'{limit} {unit} (the limit of OpenCV)')
    return None


def _too_large(limit: str) -> str:
    return f'{_TOO_LARGE}: expected at most {limit}'


def read_stamp(path: str) -> FileStamp | None:
    """Return the stamp of a file, or None if there is no such regular file."""
    try:
        status = os.stat(path)
    except OSError:
        return None
    if not stat.S_ISREG(status.st_mode):
        return None
    return FileStamp(status.st_mtime_ns, status.st_size)


def read_facts(
    path: str, with_values: bool, decode: bool = False, content: bytes | None = None
) -> ImageFacts:
    """Open a file and read its header, and its pixels where they are asked for.

    The one answer to "is this image broken?": the start-up check reads headers, the check of data
    sets decodes, and a run that stumbles over a file asks :func:`unreadable_reason`.

    Args:
        path: A PNG or JPEG file (any format that Pillow knows).
        with_values: Decode the pixels of a label and list their distinct values.
        decode: Decode every pixel, so that a file is found that is whole at both ends only.
        content: The bytes of the file, if they have been read already.

    Raises:
        UnreadableFileError: If the header or the pixels cannot be read, or the image is too large.
    """
    try:
        with Image.open(path if content is None else io.BytesIO(content)) as image:
            facts = ImageFacts(*image.size, image.mode)
            reason = too_large_reason(*image.size)
            if reason is not None:
                raise UnreadableFileError(reason)
            is_png = image.format == 'PNG'
            tail = b''
            if is_png or image.format in _JPEG:
                size = TAIL_BYTES if is_png else _END_BYTES
                tail = _read_tail(path, size) if content is None else content[-size:]
            facts = facts._replace(orientation=read_orientation(image, tail if is_png else b''))
            has_no_end = not _ends(image.format, tail)
            if decode or has_no_end:
                image.load()  # raises if pixels are missing; OpenCV wants the closing chunk, too
            if is_png and has_no_end and not _opencv_decodes(path):
                raise UnreadableFileError('its closing chunk is missing')
            if with_values and len(image.getbands()) == 1:
                values = distinct_values(np.asarray(image) if decode else _pixels(path, image))
                return facts._replace(values=values, palette=read_palette(image))
            return facts
    except PILLOW_ERRORS as error:
        raise UnreadableFileError(unreadable_reason_of(error)) from error


def unreadable_reason(path: str) -> str | None:
    """Why a whole image file cannot be read, None if it can.

    It is read with both libraries that the loading transforms use.
    """
    try:
        read_facts(path, with_values=False, decode=True)
    except UnreadableFileError as error:
        return str(error)
    return None if _opencv_decodes(path) else 'OpenCV cannot decode it'


def _opencv_decodes(path: str) -> bool:
    try:
        return cv2.imread(path, cv2.IMREAD_UNCHANGED) is not None
    except cv2.error:
        return False


def _pixels(path: str, image: Image.Image) -> np.ndarray:
    """Pixels of one channel; 8-bit grey goes through cv2, which frees the GIL."""
    pixels = cv2.imread(path, cv2.IMREAD_UNCHANGED) if image.mode == 'L' else None
    return np.asarray(image) if pixels is None or pixels.ndim != 2 else pixels


def distinct_values(pixels: np.ndarray) -> tuple[int, ...]:
    """The sorted values of an image of one channel, ``(H, W)`` of integers or booleans."""
    if pixels.dtype != np.uint8:
        return tuple(int(value) for value in np.unique(pixels))
    counts = cv2.calcHist([pixels], [0], None, [256], [0, 256])
    return tuple(int(value) for value in np.flatnonzero(counts))


def _ends(kind: str | None, tail: bytes) -> bool:
    """Whether the last bytes of a file are its end; True for a format that has no mark there.

    Programs write zeros or notes of their own behind a JPEG: notes look like a missing end.
    """
    if kind == 'PNG':
        return b'IEND' in tail[-_END_BYTES:]
    return kind not in _JPEG or tail.rstrip(b'\0').endswith(_JPEG_END)


def _read_tail(path: str, size: int) -> bytes:
    """The last bytes of a file."""
    with open(path, 'rb') as file:
        file.seek(-min(size, os.path.getsize(path)), os.SEEK_END)
        return file.read()
