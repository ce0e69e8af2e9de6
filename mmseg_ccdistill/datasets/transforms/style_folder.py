"""A folder of images whose style others take on."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Generic, TypeVar

import cv2
import numpy as np

from ...errors import UserInputError

_Style = TypeVar('_Style')


class StyleFolder(Generic[_Style]):
    """The styles of the images in a folder, each of a whole image.

    Each process keeps them: a file is read once. The files are listed at the first look, or by :meth:`check_files`.

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
        """List the images.

        Raises:
            UserInputError: If the folder is missing or holds none.
        """
        self._files = sorted(
            os.path.join(parent, name)
            for parent, _, names in os.walk(self.images, followlinks=True)
            for name in names
            if name.endswith(self.suffix) and not name.startswith('.')
        )
        if not self._files:
            raise UserInputError(
                f'{self._reader} found no image that ends in {self.suffix!r} in the folder {self.images!r}: expected '
                f'the images whose light the source takes on; correct {self._settings}.'
            )

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
            image = cv2.imread(path, cv2.IMREAD_COLOR)
            if image is None:
                raise UserInputError(
                    f'The style image {path!r} cannot be read: expected a whole PNG or JPEG image; copy or download '
                    'it again, or take it out of the folder.'
                )
            self._known[path] = self._measure(image)
        return self._known[path]
