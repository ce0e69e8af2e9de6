"""A cache of decoded images: where a copy lies, and of which file it is.

A cache is a folder with copies of the images of a data root, under their names relative to it, and an index,
``cache.jsonl``. Its first line says version, format and root; every further line names an image and the size in bytes
of its file. A line is written after its copy is complete, so what is not in the index counts as not cached.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from ..errors import UserInputError

INDEX = 'cache.jsonl'
#: Of the index and of the copies; another version is refused.
VERSION = 1
#: What is put behind the name of an image, by format.
SUFFIXES = {'png': '.png', 'raw': '.npy'}


@dataclass
class ImageCache:
    """A cache that has been opened.

    Attributes:
        folder: The cache.
        kind: ``'png'`` (lossless, run-length coded: small and fast to decode) or ``'raw'`` (arrays that are mapped
            into memory: nothing to decode).
        root: Data root whose images it holds; it may be named through links.
        sizes: Bytes of each image file, by its name relative to the root.
    """

    folder: Path
    kind: str
    root: Path
    sizes: dict[str, int] = field(default_factory=dict)

    def copy_of(self, name: str) -> Path:
        """Where the copy of an image lies.

        Args:
            name: Name relative to the root.
        """
        return self.folder / (name + SUFFIXES[self.kind])

    def find(self, path: str | os.PathLike[str], size: int | None) -> str:
        """Name of an image relative to the root; its file is not looked at.

        Args:
            path: The image file. Where its name does not fit, links to folders are followed; the image itself may be
                a link to a file elsewhere.
            size: Bytes of its file now; None if it is gone, as the cache may outlive the files.

        Raises:
            UserInputError: If the image is not in the cache, or its file is another one now.
        """
        name = os.path.relpath(path, self.root)
        if name not in self.sizes:
            folder, file = os.path.split(path)
            real = os.path.join(os.path.realpath(folder), file)
            name = os.path.relpath(real, os.path.realpath(self.root))
        cached = self.sizes.get(name)
        if cached is None:
            raise UserInputError(
                f'{path} is not in the cache {self.folder} of {self.root}: expected every image of the data set; run '
                'tools/dataset_converters/cache.py again, for grey photos with --grey'
            )
        if size not in (None, cached):
            raise UserInputError(
                f'{path} has {size} bytes, the cache {self.folder} was made of a file of {cached}: make the cache anew'
            )
        return name

    def read(self, path: str | os.PathLike[str]) -> np.ndarray:
        """Pixels of an image.

        Args:
            path: The image file, which lies in the root; where it still exists, its size is compared.

        Returns:
            uint8 BGR ``(H, W, 3)``, exactly those of the file; not to be written to.

        Raises:
            UserInputError: If the image is not in the cache, or its file is another one now.
            OSError: If the copy cannot be read.
        """
        try:
            size = os.stat(path).st_size
        except FileNotFoundError:
            size = None
        return read_copy(self.copy_of(self.find(path, size)))


def read_copy(path: Path) -> np.ndarray:
    """Pixels of a copy: uint8 BGR ``(H, W, 3)``.

    Raises:
        OSError: If it cannot be read.
    """
    if path.suffix == '.npy':
        try:
            return np.asarray(np.load(path, mmap_mode='r'))
        except ValueError as error:
            raise OSError(f'{path} is no whole array') from error
    image = cv2.imread(str(path), cv2.IMREAD_COLOR)
    if image is None:
        raise OSError(f'{path} is no image that can be read')
    return image


def open_cache(folder: str | os.PathLike[str]) -> ImageCache:
    """Read the index of a cache.

    Args:
        folder: The cache.

    Returns:
        The cache; a last line that was cut off is left out.

    Raises:
        UserInputError: If there is no index, or it is of another version.
    """
    index = Path(folder) / INDEX
    try:
        first, *lines = index.read_text(encoding='utf-8').splitlines()
        head: dict[str, Any] = json.loads(first)
    except (OSError, ValueError) as error:
        raise UserInputError(
            f'{folder} is no image cache ({INDEX} is missing or broken): make one with '
            'tools/dataset_converters/cache.py'
        ) from error
    if head.get('version') != VERSION:
        raise UserInputError(
            f'{index} has version {head.get("version")}, this package reads {VERSION}: make the cache anew'
        )
    cache = ImageCache(Path(folder), head['kind'], Path(head['root']))
    for line in lines:
        try:
            name, size = json.loads(line)
        except ValueError:
            break
        cache.sizes[name] = size
    return cache
