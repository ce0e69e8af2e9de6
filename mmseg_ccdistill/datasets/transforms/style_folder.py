"""A folder of images whose style others take on."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Generic, TypeVar

import cv2
import numpy as np

from ...errors import UserInputError
from ..file_scan import map_parallel
from ..image_facts import (
    UnreadableFileError,
    read_facts,
    unreadable_reason,
    unreadable_sentence,
)

_Style = TypeVar('_Style')


class StyleFolder(Generic[_Style]):
    """The styles of the images in a folder, each of a whole image.

    Each process keeps them: a file is read once. The files are listed and looked at once, by :meth:`check_files` or
    at the first use.

    Args:
        images: The folder; sub-folders count.
        suffix: End of the images' names, or several.
        measure: The style of an image, uint8 BGR ``(H, W, 3)``.
        reader: Transform that reads them, for messages.
        settings: Its settings that name folder and suffix, for messages.
    """

    def __init__(
        self,
        images: str,
        suffix: str | tuple[str, ...],
        measure: Callable[[np.ndarray], _Style],
        reader: str,
        settings: str,
    ) -> None:
        self.images, self.suffix, self._measure = images, suffix, measure
        self._reader, self._settings = reader, settings
        self._files: list[str] = []
        self._known: dict[str, _Style] = {}

    def check_files(self) -> None:
        """List the images and look at the header and the end of each.

        Raises:
            UserInputError: If the folder is missing or holds none, or one cannot be read.
        """
        if self._files:
            return
        files = sorted(
            os.path.join(parent, name)
            for parent, _, names in os.walk(self.images, followlinks=True)
            for name in names
            if name.endswith(self.suffix) and not name.startswith('.')
        )
        if not files:
            raise UserInputError(
                f'{self._reader} found no image that ends in {self.suffix!r} in the folder {self.images!r}: expected '
                f'the images whose light the source takes on; correct {self._settings}.'
            )
        for sentence in map_parallel(_fault, files, f'Looking at the images of {self._reader}'):
            if sentence is not None:
                raise UserInputError(sentence)
        self._files = files

    def __len__(self) -> int:
        """Number of images, at least 1."""
        if not self._files:
            self.check_files()
        return len(self._files)

    def style(self, number: int) -> _Style:
        """The style of an image.

        Args:
            number: Of the image in the order of the names, from 0.

        Raises:
            UserInputError: If it cannot be read.
        """
        path = self._files[number]
        if path not in self._known:
            try:  # the bytes, as LoadImageFromFile decodes them: of a cut file imread gives a part
                image = cv2.imdecode(np.fromfile(path, np.uint8), cv2.IMREAD_COLOR)
            except (OSError, cv2.error):
                image = None
            if image is None:
                reason = unreadable_reason(path) or 'OpenCV cannot decode it'
                raise UserInputError(_sentence(path, reason))
            self._known[path] = self._measure(image)
        return self._known[path]


def _fault(path: str) -> str | None:
    """Say that an image cannot be read, or None."""
    try:
        read_facts(path, with_values=False)
    except UnreadableFileError as error:
        return _sentence(path, str(error))
    return None


def _sentence(path: str, reason: str) -> str:
    fix = 'copy or download it again, or take it out of the folder'
    return unreadable_sentence(path, reason, fix, role='style image')
