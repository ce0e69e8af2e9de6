"""EXIF orientation: images are turned by it when they are loaded, labels never are.

``LoadImageFromFile`` turns an image unless ``color_type`` ends in ``ignore_orientation`` or is
``'unchanged'``; ``LoadAnnotations`` reads the stored pixels of a label. So a label fits an image with
an orientation only if it was drawn on the turned pixels. Where the sizes do not tell, nobody does.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterable
from typing import Any

from PIL import Image

#: Orientation of pixels that are stored as they are shown (Exif 2.3, 4.6.4, tag 0x0112).
UPRIGHT = 1
_TAG = 0x0112
#: Orientations that swap width and height.
_SWAPPING = frozenset({5, 6, 7, 8})
#: Formats whose orientation OpenCV applies.
_FORMATS = frozenset({'JPEG', 'MPO', 'PNG', 'WEBP'})

_CHUNK_TYPE = b'eXIf'
_REMOVE = '`exiftool -Orientation= FILE` removes the tag'
_BAKE = '`mogrify -auto-orient FILE` writes the turned pixels'
_IGNORE = "color_type='color_ignore_orientation' of LoadImageFromFile ignores it"


def read_orientation(image: Image.Image, tail: bytes = b'') -> int:
    """Read the orientation that OpenCV and mmcv apply: that of the Exif block, not that of XMP.

    Args:
        image: An opened image; its pixels are not decoded.
        tail: The last bytes of a PNG file, in which an Exif chunk may follow the pixels.

    Returns:
        1 to 8; 1 if there is none or it cannot be read.
    """
    if image.format not in _FORMATS:
        return UPRIGHT
    block = image.info.get('exif') or _exif_chunk(tail)
    if not block:
        return UPRIGHT
    exif = Image.Exif()
    try:
        exif.load(block)
        value = int(exif.get(_TAG, UPRIGHT))
    except (SyntaxError, ValueError, TypeError, KeyError, OSError, struct.error):
        return UPRIGHT
    return value if 1 <= value <= 8 else UPRIGHT


def _exif_chunk(tail: bytes) -> bytes | None:
    """Content of the Exif chunk in the last bytes of a PNG."""
    start = tail.find(_CHUNK_TYPE)
    while start >= 4:
        length = int.from_bytes(tail[start - 4 : start], 'big')
        end = start + 4 + length
        if tail[end : end + 4] == zlib.crc32(tail[start:end]).to_bytes(4, 'big'):
            return tail[start + 4 : end]
        start = tail.find(_CHUNK_TYPE, start + 1)
    return None


def turned_size(size: tuple[int, int], orientation: int) -> tuple[int, int]:
    """Width and height of an image after it has been turned upright, from those of its stored pixels."""
    return (size[1], size[0]) if orientation in _SWAPPING else size


def loading_turns(transforms: Iterable[Any]) -> bool:
    """Say whether a pipeline turns images upright when it loads them; without a loading transform the default does."""
    for transform in transforms:
        color_type = getattr(transform, 'color_type', None)
        if isinstance(color_type, str):
            backend = getattr(transform, 'imdecode_backend', None)
            ignores = color_type == 'unchanged' or color_type.endswith('_ignore_orientation')
            return not ignores and backend not in ('turbojpeg', 'tifffile')
    return True


def orientation_fault(
    image: str,
    label: str,
    orientations: tuple[int, int],
    sizes: tuple[tuple[int, int], tuple[int, int]],
    turns: bool = True,
    is_predicted: bool = False,
) -> str | None:
    """Say that an orientation leaves open which pixels a label belongs to, or None.

    ``orientations`` and ``sizes`` (width, height of the stored pixels) are those of image and label; ``turns`` says
    whether the image is turned when it is loaded; ``is_predicted``, whether the label was predicted on it as it is
    loaded, so that it belongs to the turned pixels.
    """
    of_image, of_label = orientations
    if not turns and of_image == of_label:
        return None
    if of_label != UPRIGHT:
        return (
            f'The label {label!r} of the image {image!r} has the EXIF orientation {of_label}, and labels '
            f'are never turned when they are loaded: expected a label without one; if its stored pixels '
            f'fit the image as it is loaded, {_REMOVE}, else {_BAKE}.'
        )
    if of_image == UPRIGHT or not turns:
        return None
    width, height = sizes[0]
    if of_image in _SWAPPING and width != height:
        if sizes[1] != sizes[0]:
            return None
        upright = '{}x{}'.format(*turned_size(sizes[0], of_image))
        return (
            f'The label {label!r} has the stored {width}x{height} pixels of its image {image!r}, whose EXIF '
            f'orientation {of_image} turns it when it is loaded: expected a label of the turned {upright} '
            f'pixels; {_REMOVE}, or {_IGNORE}.'
        )
    if is_predicted:
        return None
    return (
        f'The image {image!r} has the EXIF orientation {of_image} and is turned when it is loaded, and its '
        f'label {label!r} is not: expected an image without one, because the sizes do not tell whether '
        f'the label fits the turned or the stored pixels; if the turned ones, {_BAKE}; if the stored '
        f'ones, {_REMOVE}, or {_IGNORE}.'
    )
