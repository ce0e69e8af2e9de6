"""Make a cache of decoded images: space first, each copy verified, and resumable."""

from __future__ import annotations

import errno
import io
import json
import shutil
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import cv2
import numpy as np
from PIL import Image, UnidentifiedImageError

from ..datasets.file_scan import map_parallel
from ..datasets.image_cache import INDEX, SUFFIXES, VERSION, ImageCache, open_cache
from ..errors import UserInputError
from ..runtime.atomic_file import FileNotWrittenError, write_atomically

#: Size of a run-length coded PNG beside the file it is made of: 1.1 to 1.25 for PNG of level 6, more for JPEG.
_PNG_GROWTH = 1.3
#: Modes of files that are labels: they are decoded fast, and keep their own loader.
_LABEL_MODES = ('1', 'L', 'P', 'I', 'I;16')
_IMAGE_SUFFIXES = ('.png', '.jpg', '.jpeg')


def list_images(root: Path, folders: Sequence[str] = ()) -> list[str]:
    """Colour images below a data root.

    Args:
        root: Data root.
        folders: Only those below these folders of it. Defaults to none, all.

    Returns:
        Names relative to the root, sorted; files of labels are left out.

    Raises:
        UserInputError: If a folder is missing, or there is no image.
    """
    starts = [root / folder for folder in folders] or [root]
    for start in starts:
        if not start.is_dir():
            raise UserInputError(
                f'{start} is no folder: name the root of a data set and folders in it'
            )
    paths = {path for start in starts for path in start.rglob('*')}
    names = sorted(
        str(path.relative_to(root))
        for path in paths
        if path.suffix.lower() in _IMAGE_SUFFIXES and path.is_file() and _is_colour(path)
    )
    if not names:
        raise UserInputError(
            f'{root} holds no colour image (png, jpg): name the root of a data set'
        )
    return names


def _is_colour(path: Path) -> bool:
    try:
        with Image.open(path) as image:
            return image.mode not in _LABEL_MODES
    except (UnidentifiedImageError, OSError) as error:
        raise UserInputError(
            f'{path} is no image that can be read: replace or remove it'
        ) from error


def space_needed(root: Path, names: Sequence[str], kind: str) -> int:
    """Bytes that copies take: exact for ``'raw'``, from above for ``'png'`` made of PNG.

    Args:
        root: Data root.
        names: Images.
        kind: Format.
    """
    if kind == 'png':
        return int(_PNG_GROWTH * sum((root / name).stat().st_size for name in names))
    total = 0
    for name in names:
        with Image.open(root / name) as image:
            total += 3 * image.width * image.height + 128  # and the head of the array
    return total


def prepare_cache(root: Path, folder: Path, kind: str) -> ImageCache:
    """Open a cache that was begun, or begin one.

    Args:
        root: Data root.
        folder: The cache.
        kind: Format.

    Raises:
        UserInputError: If the folder holds another cache, or something else.
    """
    if (folder / INDEX).exists():
        cache = open_cache(folder)
        for what, there, wanted in (
            ('format', cache.kind, kind),
            ('data root', str(cache.root), str(root)),
        ):
            if there != wanted:
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
        raise UserInputError(
            f'the cache needs {needed / 1e9:.1f} GB, {cache.folder} has {free / 1e9:.1f} GB free: make room, '
            'name another folder, or take --format png'
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
    pixels = cv2.imread(str(source), cv2.IMREAD_COLOR)  # as LoadImageFromFile decodes it
    if pixels is None:
        raise UserInputError(f'{source} is no image that can be read: replace or remove it')
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
