"""Refinement of one dark image after another by the day images of a pair list, with a record of what was done."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from ..errors import UserInputError
from .alignment_report import How, count_alignments
from .depth_map import find_depth, read_depth
from .refinement import refine_day_night
from .refinement_settings import RefinementSettings

Probabilities = npt.NDArray[np.floating]


class PairRefinement:
    """Refines the prediction on a dark image, given by its file.

    Args:
        day_of: Day image of each dark image, both as paths. A dark image that is missing here has no day image: its
            prediction stays as it is and is counted.
        predict_day: Probabilities of a day image by the guide (the unadapted network), ``(K, h, w)``, from its path.
        settings: How to align and fuse.
        depth_root: Folder of depth maps ``<name of the day image without ending>.png`` or ``.npy``, see
            :func:`read_depth`. None, or no file for an image: a homography is tried, then the filter is taken.

    Attributes:
        depth_of: File of depth of each day image that has one.
        hows: What was done with each dark image so far, by its path.

    Raises:
        UserInputError: If the folder of depth does not exist, would not be read, has no file for any of the day images,
            or one for two of them.
    """

    def __init__(
        self,
        day_of: Mapping[str, str],
        predict_day: Callable[[str], Probabilities],
        settings: RefinementSettings,
        depth_root: str | Path | None = None,
    ) -> None:
        if depth_root is not None and settings.align != 'geometry':
            raise UserInputError(
                f"refine.depth_root is set, but align={settings.align!r} reads no depth: set align='geometry' or leave "
                'depth_root out.'
            )
        if depth_root is not None and not Path(depth_root).is_dir():
            raise UserInputError(
                f'refine.depth_root {depth_root} is no folder: expected the depth of the day images; correct the path, '
                'or leave it out to align by homographies.'
            )
        self.day_of, self.predict_day = day_of, predict_day
        self.settings, self.depth_root = settings, depth_root
        self.depth_of = {} if depth_root is None else _depth_files(depth_root, day_of.values())
        self.hows: dict[str, How] = {}

    def __call__(self, p_dark: Probabilities, dark: str) -> Probabilities:
        """Refine a prediction.

        Args:
            p_dark: Probabilities, ``(K, h, w)``.
            dark: Path of the dark image.

        Returns:
            Refined probabilities, ``(K, h, w)``.

        Raises:
            UserInputError: If an image cannot be read, or the two do not fit; it names both.
        """
        day = self.day_of.get(dark)
        try:
            image_dark = _read(dark)
            image_day = None if day is None else _read(day)
            p_day = None if day is None else np.moveaxis(self.predict_day(day), 0, -1)
            depth = None if day is None or image_day is None else self._depth(day, image_day)
            refined, how = refine_day_night(
                np.moveaxis(p_dark, 0, -1), p_day, image_dark, image_day, self.settings, depth
            )
        except UserInputError as error:
            raise UserInputError(f'{dark} with day image {day}: {error}') from error
        self.hows[dark] = how
        return np.ascontiguousarray(np.moveaxis(refined, -1, 0))

    def report(self) -> dict[str, Any]:
        """Count what was done so far, see :func:`count_alignments`."""
        return count_alignments(self.hows)

    def _depth(self, day: str, image: npt.NDArray[np.uint8]) -> npt.NDArray[np.float64] | None:
        path = self.depth_of.get(day)
        return None if path is None else read_depth(path, (image.shape[0], image.shape[1]))


def _depth_files(root: str | Path, days: Iterable[str]) -> dict[str, Path]:
    """Files of depth of the day images that have one."""
    named: dict[str, str] = {}
    for day in days:
        other = named.setdefault(Path(day).stem, day)
        if other != day:
            raise UserInputError(
                f'{other} and {day} have one name, and so one file of depth in refine.depth_root {root}: expected day '
                'images of different names; rename one and its file, or leave depth_root out.'
            )
    found = {day: path for name, day in named.items() if (path := find_depth(root, name))}
    if named and not found:
        name, day = next(iter(named.items()))
        raise UserInputError(
            f'refine.depth_root {root} has no depth of the day images: expected a file for each, such as {name}.png or '
            f'{name}.npy for {day}; correct the path, or rename the files.'
        )
    return found


def _read(path: str) -> npt.NDArray[np.uint8]:
    image = cv2.imread(path, cv2.IMREAD_COLOR) if Path(path).is_file() else None
    if image is None:
        raise UserInputError(
            f'{path} cannot be read as an image: fetch it again or correct the list.'
        )
    return np.asarray(image, dtype=np.uint8)
