"""Reads a submission back as a server does and names every fault."""

from __future__ import annotations

import io
import os
import re
import struct
import zipfile
import zlib
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from PIL import Image

from ..datasets.file_scan import map_parallel
from .submission import (
    CONFIDENCE,
    LABELS,
    LABELS_INVALID,
    MAX_TRAIN_ID,
    REJECTED,
    SubmissionSet,
)

_PNG_SIGNATURE = b'\x89PNG\r\n\x1a\n'
#: Bytes at the end of a PNG in which its closing chunk must lie.
_PNG_TAIL = 1024
#: Colour types of the PNG header (PNG specification, 11.2.2).
_COLOUR_TYPES = {0: 'grey', 2: 'RGB', 3: 'palette', 4: 'grey with alpha', 6: 'RGB with alpha'}
#: Compression methods of a zip that every reader knows.
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)


class _PNGHeader(NamedTuple):
    width: int
    height: int
    bits: int
    colour: str


def submission_faults(
    path: str | os.PathLike[str], target: SubmissionSet, names: Sequence[str] | None = None
) -> list[str]:
    """Read a zip back and name what a server would refuse or misread.

    Folders, number and names of the files, and of every image: format, size, bit depth, one grey
    channel, values, and that a rejected pixel is the only difference between the two label maps.

    Args:
        path: The zip.
        target: The test set that it is for.
        names: File names of the images of the test set. None: names are checked by their pattern
            and, where known, by the number of images of each sequence.

    Returns:
        One sentence for each fault, none for a sound submission.
    """
    if not Path(path).is_file():
        return [f'The file {str(path)!r} does not exist: expected a zip.']
    try:
        with zipfile.ZipFile(path) as archive:
            return [*_structure_faults(archive, target, names), *_image_faults(archive, target)]
    except zipfile.BadZipFile as error:
        return [f'The file {str(path)!r} is no whole zip ({error}): pack it again.']


def _structure_faults(
    archive: zipfile.ZipFile, target: SubmissionSet, names: Sequence[str] | None
) -> Iterator[str]:
    """Faults of folders and file names."""
    entries = [info.filename for info in archive.infolist() if not info.is_dir()]
    tops = {entry.split('/', 1)[0] for entry in entries}
    wanted = ', '.join(f'{folder}/' for folder in target.folders)
    wrapper = next(iter(tops)) if len(tops) == 1 else None
    if wrapper and wrapper not in target.folders and all('/' in entry for entry in entries):
        yield (
            f'Everything lies in the folder {wrapper}/: expected {wanted} at the top level; '
            'zip the folders themselves, not what holds them.'
        )
        return
    for entry, count in Counter(entries).items():
        if count > 1:
            yield f'{entry} is in the zip {count} times: expected one.'
        folder, _, name = entry.partition('/')
        if not name:
            yield f'{entry} does not belong into the zip: expected nothing but {wanted}.'
        elif folder in target.folders and '/' in name:
            yield f'{entry} lies too deep: expected files directly in {folder}/.'
    within = Counter(entry.partition('/')[0] for entry in entries if '/' in entry)
    for folder, count in within.items():
        if folder not in target.folders:
            files = '1 file' if count == 1 else f'{count} files'
            yield (
                f'The folder {folder}/ ({files}) does not belong into the zip: '
                f'expected nothing but {wanted}.'
            )
    for folder in target.folders:
        found = {
            name
            for top, _, name in (entry.partition('/') for entry in entries)
            if top == folder and name and '/' not in name
        }
        yield from _name_faults(folder, found, target, names)


def _name_faults(
    folder: str, found: set[str], target: SubmissionSet, names: Sequence[str] | None
) -> Iterator[str]:
    """Faults of the file names of one folder."""
    if not found:
        yield f'The folder {folder}/ is missing or empty: expected {target.num_images} PNG files.'
        return
    if len(found) != target.num_images:
        yield f'{folder}/ holds {len(found)} files: expected {target.num_images}.'
    if names is not None:
        for name in sorted(set(names) - found):
            yield f'{folder}/{name} is missing: expected one file for every test image.'
        for name in sorted(found - set(names)):
            yield f'{folder}/{name} has the name of no test image: expected e.g. {min(names)}.'
        return
    odd = sorted(name for name in found if not re.fullmatch(target.name_pattern, name))
    for name in odd:
        yield f'{folder}/{name} has an unexpected name: expected {target.name_pattern}.'
    for sequence, count in target.sequences.items():
        held = sum(name.startswith(f'{sequence}_') for name in found - set(odd))
        if held != count:
            yield f'{folder}/ holds {held} files of sequence {sequence}: expected {count}.'


def _image_faults(archive: zipfile.ZipFile, target: SubmissionSet) -> Iterator[str]:
    """Faults of the images, read in parallel."""
    entries = {
        info.filename: info
        for info in archive.infolist()
        if not info.is_dir() and info.filename.partition('/')[0] in target.folders
    }
    by_name: dict[str, dict[str, zipfile.ZipInfo]] = {}
    for entry, info in entries.items():
        folder, _, name = entry.partition('/')
        by_name.setdefault(name, {})[folder] = info
    check = partial(_faults_of_one, archive, target)
    jobs = [by_name[name] for name in sorted(by_name)]
    for faults in map_parallel(check, jobs, f'Reading {Path(str(archive.filename)).name}'):
        yield from faults


def _faults_of_one(
    archive: zipfile.ZipFile, target: SubmissionSet, files: dict[str, zipfile.ZipInfo]
) -> list[str]:
    """Faults of all images of one name, by folder."""
    faults, images = [], {}
    for folder, info in files.items():
        image = _read(archive, info, target, 16 if folder == CONFIDENCE else 8)
        if isinstance(image, str):
            faults.append(image)
            continue
        images[folder] = image
        allowed = (REJECTED,) if folder == LABELS_INVALID else ()
        if folder != CONFIDENCE:
            faults += _value_faults(info.filename, image, allowed)
    if LABELS in images and LABELS_INVALID in images:
        labels, invalid = images[LABELS], images[LABELS_INVALID]
        differ = int(np.count_nonzero((labels != invalid) & (invalid != REJECTED)))
        if differ:
            faults.append(
                f'{files[LABELS_INVALID].filename} has another class than '
                f'{files[LABELS].filename} at {differ} pixels: expected the same class or {REJECTED}.'
            )
    return faults


def _value_faults(entry: str, image: np.ndarray, allowed: tuple[int, ...]) -> Iterator[str]:
    """Faults of the values of one label map."""
    values = np.flatnonzero(cv2.calcHist([image], [0], None, [256], [0, 256]))
    odd = [int(value) for value in values if value > MAX_TRAIN_ID and value not in allowed]
    if odd:
        extra = f' and {REJECTED} for rejected pixels' if allowed else ''
        hint = ' (a pixel is rejected in labelTrainIds_invalid only)' if odd == [REJECTED] else ''
        yield (
            f'{entry} holds the values {", ".join(map(str, odd))}: '
            f'expected train ids 0 to {MAX_TRAIN_ID}{extra}{hint}.'
        )


def _read(
    archive: zipfile.ZipFile, info: zipfile.ZipInfo, target: SubmissionSet, bits: int
) -> np.ndarray | str:
    """The pixels of one entry, or its fault."""
    entry = info.filename
    if info.flag_bits & 1:
        return f'{entry} is encrypted: pack the zip without a password.'
    if info.compress_type not in _METHODS:
        return f'{entry} is packed with a rare method: expected stored or deflated.'
    try:
        content = archive.read(info)
    except (zipfile.BadZipFile, zlib.error, OSError, EOFError) as error:
        return f'{entry} is damaged ({error}): pack the zip again.'
    header = _read_header(content)
    if header is None:
        return f'{entry} is no PNG file: expected {bits}-bit grey PNG.'
    if (header.colour, header.bits) != ('grey', bits):
        return (
            f'{entry} is a PNG of {header.bits}-bit {header.colour}: expected {bits}-bit grey, '
            f'uint{bits} in one channel.'
        )
    width, height = target.size
    if (header.width, header.height) != (width, height):
        return (
            f'{entry} is {header.width} x {header.height} pixels: expected {width} x {height}; '
            'upsample the logits before the argmax.'
        )
    try:
        if b'IEND' not in content[-_PNG_TAIL:]:  # Pillow minds missing pixels only
            raise OSError('it is cut off')
        with Image.open(io.BytesIO(content)) as image:
            return np.asarray(image)
    except (OSError, ValueError, SyntaxError) as error:
        return f'{entry} is a broken PNG ({error}): write it again.'


def _read_header(content: bytes) -> _PNGHeader | None:
    """Size, bit depth and colour type of a PNG; None if it is none."""
    if len(content) < 33 or not content.startswith(_PNG_SIGNATURE) or content[12:16] != b'IHDR':
        return None
    width, height, bits, colour = struct.unpack('>IIBB', content[16:26])
    return _PNGHeader(width, height, bits, _COLOUR_TYPES.get(colour, 'unknown'))
