"""Make a cache of decoded images: space first, each copy verified, and resumable."""

from __future__ import annotations

import errno
import io
import json
import os
import shutil
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from ..datasets.file_scan import map_parallel
from ..datasets.image_cache import INDEX, SUFFIXES, VERSION, ImageCache, open_cache
from ..datasets.image_facts import (
    PILLOW_ERRORS,
    unreadable_reason,
    unreadable_reason_of,
    unreadable_sentence,
)
from ..errors import UserInputError
from ..runtime.atomic_file import FileNotWrittenError, write_atomically
from ..runtime.output_place import check_output_folder
from .audit.listing import list_files

#: Size of a run-length coded PNG beside the colour PNG it is made of: 1.1 to 1.25 for PNG of level 6.
_PNG_GROWTH = 1.3
#: Modes of PNG files that are labels: they are decoded fast, and keep their own loader.
_LABEL_MODES = ('1', 'L', 'P', 'I', 'I;16')
_IMAGE_SUFFIXES = ('.png', '.jpg', '.jpeg')


def list_images(root: Path, folders: Sequence[str] = (), grey: bool = False) -> list[str]:
    """Images below a data root; links are followed.

    Args:
        root: Data root.
        folders: Only those below these folders of it. Defaults to none, all.
        grey: Whether PNG files of one channel count, which are labels or grey photos. Defaults to False.

    Returns:
        Names relative to the root, sorted; hidden files and those of caches inside the root are left out.

    Raises:
        UserInputError: If a folder is missing or lies outside the root, or there is no image.
    """
    starts = [root / folder for folder in folders] or [root]
    for start in starts:
        if not start.is_dir() or os.path.relpath(start, root).split(os.sep)[0] == os.pardir:
            raise UserInputError(
                f'{start} is no folder in {root}: name the root of a data set and folders in it'
            )
    found = {os.path.relpath(path, root) for start in starts for path in list_files(str(start), '')}
    caches = {Path(name).parent for name in found if os.path.basename(name) == INDEX}
    names = sorted(
        name
        for name in found
        if name.lower().endswith(_IMAGE_SUFFIXES)
        and caches.isdisjoint(Path(name).parents)
        and (grey or not _may_be_label(_header(root / name)))
    )
    if not names:
        kind, fix = ('image', '') if grey else ('colour image', ', or take --grey for grey photos')
        raise UserInputError(f'{root} holds no {kind} (png, jpg): name the root of a data set{fix}')
    return names


def _header(path: Path) -> Image.Image:
    """Format, mode and size of an image; its pixels are not read."""
    try:
        with Image.open(path) as image:
            return image
    except PILLOW_ERRORS as error:
        raise _unreadable(path, unreadable_reason_of(error)) from error


def _unreadable(path: Path, reason: str) -> UserInputError:
    return UserInputError(unreadable_sentence(str(path), reason, 'replace or remove it', 'image'))


def _may_be_label(image: Image.Image) -> bool:
    return image.format == 'PNG' and image.mode in _LABEL_MODES


def space_needed(root: Path, names: Sequence[str], kind: str) -> int:
    """Bytes that copies take, from above: exact for ``'raw'``; a ``'png'`` of anything but a colour PNG counts as raw.

    Args:
        root: Data root.
        names: Images.
        kind: Format.

    Raises:
        UserInputError: If an image has no header that can be read.
    """
    total = 0
    for name in names:
        image = _header(root / name)
        if kind == 'png' and image.format == 'PNG' and not _may_be_label(image):
            total += int(_PNG_GROWTH * (root / name).stat().st_size)
        else:
            total += 3 * image.width * image.height + 128  # and the head of the array
    return total


def prepare_cache(root: Path, folder: Path, kind: str) -> ImageCache:
    """Open a cache that was begun, or begin one.

    Args:
        root: Data root; it is remembered as it is named here, links and all.
        folder: The cache.
        kind: Format.

    Raises:
        UserInputError: If the folder holds another cache or something else, or cannot be written.
    """
    check_output_folder(folder, 'name another folder')
    root = Path(os.path.abspath(root))
    if (folder / INDEX).exists():
        cache = open_cache(folder)
        for what, there, wanted, is_wanted in (
            ('format', cache.kind, kind, cache.kind == kind),
            ('data root', cache.root, root, cache.root.resolve() == root.resolve()),
        ):
            if not is_wanted:
                raise UserInputError(
                    f'{folder} is a cache with the {what} {there}, not {wanted}: name another folder'
                )
        return cache
    if folder.exists() and any(folder.iterdir()):
        raise UserInputError(f'{folder} is not empty and no cache: name another folder')
    folder.mkdir(parents=True, exist_ok=True)
    head = dict(version=VERSION, kind=kind, root=str(root))
    write_atomically(folder / INDEX, (json.dumps(head) + '\n').encode())
    return ImageCache(folder, kind, root)


def missing_images(cache: ImageCache, names: Sequence[str]) -> list[str]:
    """Images that are not in a cache.

    Args:
        cache: The cache.
        names: Images.

    Raises:
        UserInputError: If the file of an image in it is another one now.
    """
    missing = []
    for name in names:
        size = cache.sizes.get(name)
        if size is None or not cache.copy_of(name).exists():
            missing.append(name)
        elif (cache.root / name).stat().st_size != size:
            raise UserInputError(
                f'{cache.root / name} is another file than that in the cache {cache.folder}: make the cache anew'
            )
    return missing


def check_space(cache: ImageCache, needed: int) -> None:
    """Check that copies fit.

    Args:
        cache: The cache.
        needed: Bytes.

    Raises:
        UserInputError: If they do not.
    """
    free = shutil.disk_usage(cache.folder).free
    if needed > free:
        fix = ', name another folder, or take --format png'
        raise UserInputError(
            f'the cache needs {needed / 1e9:.1f} GB, {cache.folder} has {free / 1e9:.1f} GB free: make room'
            f'{fix if cache.kind != "png" else " or name another folder"}'
        )


def fill_cache(cache: ImageCache, names: Sequence[str]) -> None:
    """Write copies; each is compared with its image before it counts.

    Args:
        cache: The cache; it can be stopped at any time and filled again.
        names: Images.

    Raises:
        UserInputError: If an image cannot be read, or the disk is full.
    """
    index = cache.folder / INDEX
    kept = ''.join(json.dumps([n, s]) + '\n' for n, s in cache.sizes.items())
    head = json.dumps(dict(version=VERSION, kind=cache.kind, root=str(cache.root)))
    write_atomically(index, f'{head}\n{kept}'.encode())  # without a line that was cut off
    try:
        with index.open('a', encoding='utf-8') as file:
            sizes = map_parallel(partial(_copy, cache), names, f'Caching {cache.root.name}')
            for name, size in zip(names, sizes, strict=True):
                file.write(json.dumps([name, size]) + '\n')
                file.flush()
                cache.sizes[name] = size
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        raise UserInputError(
            f'{cache.folder} is full after {len(cache.sizes)} images: make room and run again, it goes on there'
        ) from error


def _copy(cache: ImageCache, name: str) -> int:
    """Write the copy of one image; returns the bytes of its file."""
    source, target = cache.root / name, cache.copy_of(name)
    size = source.stat().st_size
    reason = unreadable_reason(str(source))
    if reason is not None:
        raise _unreadable(source, reason)
    # The bytes, as LoadImageFromFile decodes them: of a cut file imread gives a part.
    pixels = cv2.imdecode(np.fromfile(source, np.uint8), cv2.IMREAD_COLOR)
    if pixels is None:
        raise _unreadable(source, 'OpenCV cannot decode it')
    target.parent.mkdir(parents=True, exist_ok=True)

    def verify(draft: Path) -> None:
        found = _decode(draft.read_bytes(), cache.kind)
        if found is None or not np.array_equal(found, pixels):
            raise FileNotWrittenError(errno.EIO, 'the copy has other pixels', str(target))

    write_atomically(target, _encode(pixels, cache.kind), verify)
    return size


def _encode(pixels: np.ndarray, kind: str) -> bytes:
    if kind == 'png':
        return cv2.imencode(SUFFIXES[kind], pixels, _png_options())[1].tobytes()
    buffer = io.BytesIO()
    np.save(buffer, pixels)
    return buffer.getvalue()


def _png_options() -> list[int]:
    """Run-length coding of differences to the row above, of all filters the one that is undone fastest.

    Encoders that look for the smallest file take Paeth's filter for most rows of a photograph; undoing it takes as long
    as the rest of decoding. OpenCV before 4.12 cannot choose the filter and takes differences to the left, which
    is about as good. To name a level would turn run-length coding off.
    """
    options = [cv2.IMWRITE_PNG_STRATEGY, cv2.IMWRITE_PNG_STRATEGY_RLE]
    if hasattr(cv2, 'IMWRITE_PNG_FILTER'):
        options += [cv2.IMWRITE_PNG_FILTER, cv2.IMWRITE_PNG_FILTER_UP]
    return options


def _decode(content: bytes, kind: str) -> np.ndarray | None:
    if kind == 'png':
        return cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR)
    return np.load(io.BytesIO(content))
