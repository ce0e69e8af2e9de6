"""BDD100K-night: the 87 night images of BDD100K's 10K set whose labels are right."""

from __future__ import annotations

import os
import re
from typing import Any

from mmseg.datasets import BDD100KDataset
from mmseg.registry import DATASETS

from ..errors import UserInputError
from .file_check import DatasetCheckError, check_roots
from .published_sets import BDD100K, NIGHT_LIST, PUBLISHED_NIGHT_LIST

#: A line of the list: the path of an image or label in either layout, or the bare stem.
_LINE = re.compile(
    r'(?:(?:bdd100k/)?(?:seg/images|seg/labels|images/10k|labels/sem_seg/masks)/)?'
    r'(?P<stem>(?:train|val)/[0-9a-f]{8}-[0-9a-f]{8})(?:_train_id)?(?:\.jpg|\.png)?'
)
_LIST_FIX = f'use {PUBLISHED_NIGHT_LIST}, which the repositories of MGCDA and Refign hold'


#: Folders and suffixes of the present release (``'new'``) and of the first one (``'old'``).
LAYOUTS = {layout: splits[0] for layout, splits in BDD100K.layouts.items()}


def read_bdd100k_night_list(path: str) -> list[str]:
    """Read the list of BDD100K-night.

    Args:
        path: Text file with one image a line: as published (``seg/images/train/<id>.jpg``), in the
            present layout (``images/10k/train/<id>.jpg``), or as a stem (``train/<id>``).

    Returns:
        Stems ``<split>/<id>`` in the order of the file.

    Raises:
        DatasetCheckError: If a line is none of these or names an image again; names the line.
    """
    stems: dict[str, int] = {}
    try:
        with open(path, encoding='utf-8-sig') as file:
            lines = file.read().splitlines()
    except UnicodeDecodeError as error:
        raise DatasetCheckError(
            f'The list {path!r} is no text ({error}): expected one image a line; {_LIST_FIX}.'
        ) from error
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        match = _LINE.fullmatch(line.strip())
        if match is None:
            raise DatasetCheckError(
                f'Line {number} of the list {path!r} is {line.strip()!r}: expected an image such as '
                f"'seg/images/train/00aad4a0-ee8135fe.jpg' or 'train/00aad4a0-ee8135fe'; "
                f'{_LIST_FIX}.'
            )
        stem = match['stem']
        if stem in stems:
            raise DatasetCheckError(
                f'Line {number} of the list {path!r} names {stem!r} again after line '
                f'{stems[stem]}: expected every image once; take the line out.'
            )
        stems[stem] = number
    return list(stems)


@DATASETS.register_module()
class BDD100KNightDataset(BDD100KDataset):
    """BDD100K-night in either layout of BDD100K.

    Sakaridis et al. (MGCDA, TPAMI 2020) picked 87 night images with correct labels out of the 10K
    set, 74 from train and 13 from val, so both splits must be on disk, and nothing that was trained
    on BDD100K's train split may be tested here. The 10K set is not a part of the 100K set, whose
    time-of-day tags therefore cannot replace the list. The class *train* has no pixel in it.

    Args:
        ann_file: The list (:func:`read_bdd100k_night_list`), as published or as stems, absolute or
            relative to ``data_root``. Defaults to ``'lists/bdd100k_night.txt'``.
        layout: ``'new'`` (``images/10k``, ``labels/sem_seg/masks``), ``'old'`` (``seg/images``,
            ``seg/labels``), or ``'auto'``: what ``data_root`` holds, the new one if both.
        data_prefix: Folders of images and labels; None takes those of the layout.
        **kwargs: ``data_root``, ``pipeline``, ``indices``, ``lazy_init``, … of ``BaseSegDataset``.

    Raises:
        DatasetCheckError: At ``full_init``, if the root, the layout, the masks or the list is
            missing, or colour maps stand in for masks.
        UserInputError: If there is no such layout.
    """

    #: Hint of :func:`check_roots`.
    list_hint = f'; {_LIST_FIX}'

    def __init__(
        self,
        ann_file: str = NIGHT_LIST,
        layout: str = 'auto',
        data_prefix: dict | None = None,
        data_root: str | None = None,
        **kwargs: Any,
    ) -> None:
        if layout not in (*LAYOUTS, 'auto'):
            raise UserInputError(
                f"layout={layout!r} of BDD100KNightDataset: expected 'auto', 'new' or 'old'."
            )
        self.layout = _detect(data_root) if layout == 'auto' else layout
        folders = LAYOUTS[self.layout]
        if data_prefix is None:
            data_prefix = dict(img_path=folders.images, seg_map_path=folders.labels)
        kwargs.setdefault('seg_map_suffix', folders.label_suffix)
        super().__init__(ann_file=ann_file, data_prefix=data_prefix, data_root=data_root, **kwargs)

    def full_init(self) -> None:
        """Check root, layout, masks and list, then load the list."""
        if not self._fully_initialized:
            self._check_layout()
            check_roots(self)
        super().full_init()

    def _check_layout(self) -> None:
        labels = self.data_prefix.get('seg_map_path', '')
        if {'colormaps', 'color_labels'} & set(labels.split('/')):
            raise DatasetCheckError(
                f'The label folder {labels!r} of BDD100KNightDataset holds colours: expected class '
                f'ids; set data_prefix to {LAYOUTS["new"].labels!r} or {LAYOUTS["old"].labels!r}.'
            )
        root, images = self.data_root, self.data_prefix['img_path']
        if not root or not os.path.isdir(root) or self.backend_args:
            return
        if not os.path.isdir(images):
            there = [key for key, value in LAYOUTS.items() if _has(root, value.images)]
            found = f'found the {there[0]} layout' if there else 'found neither'
            raise DatasetCheckError(
                f'The data root {root!r} of BDD100KNightDataset holds no {images!r}: expected '
                f'{LAYOUTS["new"].images!r} (new layout) or {LAYOUTS["old"].images!r} (old layout), '
                f'{found}; correct data_root, layout or data_prefix.'
            )
        if labels and not os.path.isdir(labels):
            beside = os.path.dirname(labels.rstrip('/'))
            others = sorted(os.listdir(beside)) if os.path.isdir(beside) else []
            found = f'found only {", ".join(others)}' if others else 'found none'
            raise DatasetCheckError(
                f'The masks {labels!r} of BDD100KNightDataset do not exist: expected the semantic '
                f'segmentation masks of train and val, {found}; unpack the sem_seg labels there.'
            )

    def load_data_list(self) -> list[dict]:
        """List the images of ``ann_file``."""
        images, labels = self.data_prefix['img_path'], self.data_prefix.get('seg_map_path')
        infos = []
        for stem in read_bdd100k_night_list(self.ann_file):
            info = dict(
                img_path=os.path.join(images, stem + self.img_suffix),
                label_map=self.label_map,
                reduce_zero_label=self.reduce_zero_label,
                seg_fields=[],
            )
            if labels:
                info['seg_map_path'] = os.path.join(labels, stem + self.seg_map_suffix)
            infos.append(info)
        return infos


def _has(root: str, folder: str) -> bool:
    return os.path.isdir(os.path.join(root, folder))


def _detect(root: str | None) -> str:
    """Name the layout of a root; the new one where there is none yet."""
    old_only = root and not _has(root, LAYOUTS['new'].images) and _has(root, LAYOUTS['old'].images)
    return 'old' if old_only else 'new'
