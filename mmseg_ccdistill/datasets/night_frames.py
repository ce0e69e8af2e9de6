"""Night frames of a set that ships reference frames of the same places under nearly the same names."""

from __future__ import annotations

import os
from typing import Any, ClassVar

from mmseg.datasets import CityscapesDataset

from ..errors import UserInputError
from ..runtime.run_log import warn
from .file_check import DatasetCheckError, check_roots
from .published_sets import ANON_LABEL_SUFFIX, ANON_SUFFIX, PublishedSet


def is_reference_frame(path: str) -> bool:
    """Tell whether a file, named from the root of the set, is a reference frame: the same place in good light.

    Dark Zurich marks them ``val_ref/day/<SEQ>_ref/<stem>_ref_rgb_anon.png``, which ends like a night
    frame; ACDC ``val_ref/<SEQ>/<stem>_rgb_ref_anon.png`` and, for labels, ``<stem>_gt_ref_*.png``.
    """
    folder, name = os.path.split(path)
    in_folder = any(part.endswith('_ref') for part in folder.split(os.sep))
    return in_folder or 'ref' in os.path.splitext(name)[0].split('_')


class NightFramesDataset(CityscapesDataset):
    """Labelled or unlabelled night frames of one split, never its reference frames.

    A subclass names the set. Reference frames are left out by name wherever they lie, and
    frames of another light or weather are an error, so a wrong ``data_prefix`` cannot mix them in.

    Args:
        split: ``'train'``, ``'val'`` or ``'test'``.
        img_suffix: What an image ends in. Defaults to ``'_rgb_anon.png'``.
        seg_map_suffix: What a label ends in. Defaults to ``'_gt_labelTrainIds.png'``.
        data_prefix: Folders of images and labels; None takes those of the published archives.
        **kwargs: ``data_root``, ``pipeline``, ``indices``, ``lazy_init``, … of ``BaseSegDataset``.

    Raises:
        DatasetCheckError: At ``full_init``, if a folder is missing or holds other frames.
        UserInputError: If there is no such split.
    """

    #: Where its splits lie, and which of them have public labels.
    published: ClassVar[PublishedSet]
    #: Folders that hold anything but night.
    other_conditions: ClassVar[tuple[str, ...]]

    def __init__(
        self,
        split: str = 'val',
        img_suffix: str = ANON_SUFFIX,
        seg_map_suffix: str = ANON_LABEL_SUFFIX,
        data_prefix: dict | None = None,
        **kwargs: Any,
    ) -> None:
        if split not in ('train', 'val', 'test'):
            raise UserInputError(
                f"split={split!r} of {type(self).__name__}: expected 'train', 'val' or 'test'."
            )
        if data_prefix is None:
            facts = self.published.split(f'{split} night')
            data_prefix = dict(img_path=facts.images)
            if facts.labels is not None:
                data_prefix['seg_map_path'] = facts.labels
        super().__init__(
            img_suffix=img_suffix,
            seg_map_suffix=seg_map_suffix,
            data_prefix=data_prefix,
            **kwargs,
        )

    def full_init(self) -> None:
        """Check root and folders, then list the frames."""
        if not self._fully_initialized:
            check_roots(self)
        super().full_init()

    def load_data_list(self) -> list[dict]:
        """List the night frames; reference frames are left out.

        Raises:
            DatasetCheckError: If the folder holds frames of another light or weather.
        """
        night, num_references = [], 0
        for info in super().load_data_list():
            path = self._path_in_set(info['img_path'])
            wrong = set(os.path.dirname(path).split(os.sep)) & set(self.other_conditions)
            if is_reference_frame(path):
                num_references += 1
            elif wrong:
                raise DatasetCheckError(
                    f'{type(self).__name__} found {info["img_path"]!r}, a frame of '
                    f'{min(wrong)!r}: expected night frames only; set '
                    f"data_prefix['img_path'] to {self.published.split('val night').images!r} or a "
                    'folder of night frames.'
                )
            else:
                night.append(info)
        if num_references:
            warn(
                f'{type(self).__name__} leaves out {num_references} reference frames below '
                f'{self.data_prefix["img_path"]}'
            )
        return night

    def _path_in_set(self, path: str) -> str:
        """Path below the root of the set, or below the image folder if that lies elsewhere."""
        for folder in (self.data_root, self.data_prefix['img_path']):
            if folder and not os.path.relpath(path, folder).startswith(os.pardir):
                return os.path.relpath(path, folder)
        return os.path.basename(path)
