"""Make Cityscapes' ``labelTrainIds`` from the ``labelIds`` that its archive ships."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from ...datasets.file_scan import map_processes
from ...datasets.image_facts import unreadable_reason, unreadable_sentence
from ...datasets.published_sets import CITYSCAPES
from ...label_ids import IGNORE_INDEX, MAX_LABEL_ID, TRAIN_ID_OF_LABEL_ID
from ...runtime.atomic_file import write_atomically
from .archives import PreparationError

TRAIN_IDS_SUFFIX = CITYSCAPES.split('train').label_suffix
LABEL_IDS_SUFFIX = TRAIN_IDS_SUFFIX.replace('TrainIds', 'Ids')
_UNPACK = f'unpack {CITYSCAPES.archives[-1]}'


class Converted(NamedTuple):
    """What :func:`write_train_ids` did: labels written, and labels that were there and right."""

    written: int
    kept: int


def train_id_table() -> npt.NDArray[np.uint8]:
    """Look-up table from labelId to trainId, uint8 of shape (256,).

    Ids without a class, and 255 (-1, licence plate), give 255.
    """
    table = np.full(256, IGNORE_INDEX, np.uint8)
    table[list(TRAIN_ID_OF_LABEL_ID)] = list(TRAIN_ID_OF_LABEL_ID.values())
    return table


def convert_label(label: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """Turn labelIds into trainIds.

    Args:
        label: labelIds of shape (H, W).

    Returns:
        trainIds 0..18 and 255 of shape (H, W).

    Raises:
        ValueError: If it is no 8-bit image of one channel or holds other values than 0..33 and 255.
    """
    if label.ndim != 2 or label.dtype != np.uint8:
        raise ValueError(f'an image of shape {label.shape} and type {label.dtype}')
    counts = cv2.calcHist([label], [0], None, [256], [0, 256]).ravel()
    wrong = np.flatnonzero(counts[MAX_LABEL_ID + 1 : IGNORE_INDEX])
    if wrong.size:
        raise ValueError(f'the value {wrong[0] + MAX_LABEL_ID + 1}')
    return cv2.LUT(label, train_id_table())


def write_train_ids(
    root: str, splits: Sequence[str] = ('train', 'val'), workers: int | None = None
) -> Converted:
    """Write ``_gtFine_labelTrainIds.png`` beside every ``_gtFine_labelIds.png``.

    Labels that are there and right are kept. Each file is written whole or not at all, so an
    interrupted run can be run again.

    Args:
        root: Root of Cityscapes, which holds ``gtFine``.
        splits: Sub-folders of ``gtFine``.
        workers: Processes. Defaults to one for each available core.

    Raises:
        PreparationError: If there are no labels, a file is not a labelIds image, or a labelTrainIds
            file is there with other values; the other files have been converted then.
    """
    files = [
        str(path)
        for split in splits
        for path in sorted(Path(root, 'gtFine', split).rglob(f'*{LABEL_IDS_SUFFIX}'))
    ]
    if not files:
        raise PreparationError(
            f'The folder {os.path.join(root, "gtFine")!r} holds no labelIds: expected files that '
            f'end in {LABEL_IDS_SUFFIX!r}; {_UNPACK} there.'
        )
    results = list(map_processes(_convert_file, files, 'Making labelTrainIds', workers))
    faults = [result for result in results if result not in ('written', 'kept')]
    if faults:
        more = f' ({len(faults) - 1} more like it.)' if len(faults) > 1 else ''
        raise PreparationError(f'{faults[0]}{more}')
    return Converted(results.count('written'), results.count('kept'))


def _convert_file(path: str) -> str:
    """Convert one file: 'written', 'kept' or the sentence of a fault."""
    target = path[: -len(LABEL_IDS_SUFFIX)] + TRAIN_IDS_SUFFIX
    reason = unreadable_reason(path)
    if reason is not None:
        return unreadable_sentence(path, reason, f'{_UNPACK} again', role='label')
    label = cv2.imread(path, cv2.IMREAD_UNCHANGED)
    assert label is not None  # else there is a reason
    try:
        train_ids = convert_label(label)
    except ValueError as error:
        return (
            f'The label {path!r} holds {error}: expected labelIds 0..{MAX_LABEL_ID} in one '
            f'channel; {_UNPACK} again.'
        )
    if os.path.exists(target):
        there = cv2.imread(target, cv2.IMREAD_UNCHANGED)
        if there is not None and np.array_equal(there, train_ids):
            return 'kept'
        return (
            f'The label {target!r} is not what {os.path.basename(path)!r} gives: expected its '
            'trainIds; move it away and run this again.'
        )
    write_atomically(target, cv2.imencode('.png', train_ids)[1].tobytes())
    return 'written'
