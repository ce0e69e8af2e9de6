"""How many pixels of each class every labelled image has; counted once, remembered until a file changes."""

from __future__ import annotations

import hashlib
import io
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from mmcv.transforms import LoadAnnotations

from ..errors import UserInputError
from ..runtime.atomic_file import write_atomically
from ..runtime.run_log import warn
from .file_check import DatasetCheckError, leaf_datasets
from .file_scan import map_parallel
from .image_facts import read_stamp, unreadable_sentence
from .manifest import cache_folder
from .unreadable import unreadable_reason

#: Of the format of what is remembered.
_VERSION = 1


def class_pixels(dataset: Any, folder: str | os.PathLike[str] | None = None) -> np.ndarray:
    """Count the pixels of each class in each label, at its full size.

    Args:
        dataset: Labelled dataset with mmengine's interface; wrappers may be around it.
        folder: Where counts are remembered. Defaults to the user's cache folder.

    Returns:
        int64 ``(N, K)``: images by classes of ``metainfo``.

    Raises:
        DatasetCheckError: If an image has no label, or one cannot be read.
        UserInputError: If no transform of the pipeline loads labels.
    """
    infos = [dataset.get_data_info(index) for index in range(len(dataset))]
    for info in infos:
        if not info.get('seg_map_path'):
            raise DatasetCheckError(
                f'{info.get("img_path")!r} has no label: expected one for each source image, because rare classes are '
                'counted in them; set data_prefix.seg_map_path of the source.'
            )
    load = _label_loader(dataset)
    num_classes = len(dataset.metainfo['classes'])
    place = _place(infos, num_classes, folder)
    known = _read(place, (len(infos), num_classes))
    if known is not None:
        return known

    def count(info: Mapping[str, Any]) -> np.ndarray:
        try:
            label = load.transform(dict(info))['gt_seg_map']
        except Exception as error:
            reason = unreadable_reason(info['seg_map_path'])
            if reason is None:
                raise
            raise DatasetCheckError(unreadable_sentence(info['seg_map_path'], reason)) from error
        return np.bincount(label.ravel(), minlength=256)[:num_classes]

    counts = np.stack(list(map_parallel(count, infos, 'counting classes'))).astype(np.int64)
    _write(place, counts)
    return counts


def _label_loader(dataset: Any) -> LoadAnnotations:
    """The transform of the dataset that loads labels."""
    for leaf in leaf_datasets(dataset):
        for step in getattr(getattr(leaf, 'pipeline', None), 'transforms', ()):
            if isinstance(step, LoadAnnotations):
                return step
    raise UserInputError(
        f'{type(dataset).__name__}: its pipeline loads no labels: expected LoadAnnotations, because rare classes are '
        "counted in them; add dict(type='LoadAnnotations') after LoadImageFromFile, or set "
        'train_dataloader.sampler.rare_classes=None.'
    )


def _place(
    infos: list[dict[str, Any]], num_classes: int, folder: str | os.PathLike[str] | None
) -> Path | None:
    """File that belongs to these labels as they are now; None if a change of one would not be seen."""
    digest = hashlib.sha256(f'{_VERSION} {num_classes}'.encode())
    for info in infos:
        stamp = read_stamp(info['seg_map_path'])
        if stamp is None:
            return None
        mapping = info.get('label_map') or {}
        facts = [
            os.path.abspath(info['seg_map_path']),
            *stamp,
            sorted((int(old), int(new)) for old, new in mapping.items()),
            bool(info.get('reduce_zero_label')),
        ]
        digest.update(json.dumps(facts).encode())
    return Path(folder or cache_folder()) / f'class_pixels_{digest.hexdigest()[:16]}.npy'


def _read(place: Path | None, shape: tuple[int, int]) -> np.ndarray | None:
    """What is remembered; None if there is nothing of that shape."""
    if place is None:
        return None
    try:
        counts = np.load(place, allow_pickle=False)
    except (OSError, ValueError, EOFError):
        return None  # none yet, or not ours: it is only a cache
    return counts if counts.shape == shape and counts.dtype == np.int64 else None


def _write(place: Path | None, counts: np.ndarray) -> None:
    """Remember the counts; without room or rights the next start counts again, and a line says so."""
    if place is None:
        return
    content = io.BytesIO()
    np.save(content, counts)
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(place, content.getvalue())
    except OSError as error:
        warn(f'Cannot keep the class counts {place}: {error}')
