"""What the doctor reads of one file: it is opened once, hashed and decoded in a worker process."""

from __future__ import annotations

import hashlib
import os
from typing import NamedTuple

from PIL import Image

from ...datasets.image_facts import (
    PILLOW_ERRORS,
    UnreadableFileError,
    read_facts,
    unreadable_reason_of,
)
from ...datasets.image_orientation import UPRIGHT

_DIGEST_BYTES = 16


class Request(NamedTuple):
    """A file and how closely it is to be read.

    Attributes:
        path: The file.
        decode: Decode every pixel and hash the file; else only its header is read.
        with_values: List the distinct values of a label; needs ``decode``.
    """

    path: str
    decode: bool
    with_values: bool


class FileFacts(NamedTuple):
    """What was read of a file; what is not explained is as in ``ImageFacts``.

    Attributes:
        size: Width and height in pixels; None for an unreadable file.
        digest: Hash of the file; None if only the header was read.
        error: Why the file cannot be read, else None.
    """

    size: tuple[int, int] | None = None
    mode: str = ''
    values: tuple[int, ...] | None = None
    digest: str | None = None
    error: str | None = None
    orientation: int = UPRIGHT
    palette: str = ''


def read_file(request: Request) -> FileFacts:
    """Read a file as closely as requested; a broken file is a result, not an error."""
    if os.path.islink(request.path) and not os.path.exists(request.path):
        return FileFacts(error=f'a link to {os.readlink(request.path)!r}, which does not exist')
    digest = content = None
    try:
        if request.decode:
            with open(request.path, 'rb') as file:
                content = file.read()
            digest = hash_bytes(content)
        with_values = request.decode and request.with_values
        facts = read_facts(request.path, with_values, request.decode, content)
    except OSError as error:
        return FileFacts(error=unreadable_reason_of(error))
    except UnreadableFileError as error:
        return FileFacts(error=str(error))
    size = (facts.width, facts.height)
    return FileFacts(size, facts.mode, facts.values, digest, None, facts.orientation, facts.palette)


def hash_bytes(content: bytes) -> str:
    """Hash the content of a file: 16 bytes (BLAKE2b) in hexadecimal."""
    return hashlib.blake2b(content, digest_size=_DIGEST_BYTES).hexdigest()


def hash_file(path: str) -> str | None:
    """Hash a file without decoding it; None if it cannot be read."""
    try:
        with open(path, 'rb') as file:
            return hash_bytes(file.read())
    except OSError:
        return None


def hash_pixels(path: str) -> str | None:
    """Hash size and RGB pixels: equal for two files that hold one picture in different encodings.

    None if the image cannot be decoded.
    """
    try:
        with Image.open(path) as image:
            pixels = image.convert('RGB')
            return hash_bytes(f'{pixels.width}x{pixels.height}:'.encode() + pixels.tobytes())
    except PILLOW_ERRORS:
        return None
