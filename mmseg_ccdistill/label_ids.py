"""Ids in label files: which ones a data set may hold, and what others are."""

from __future__ import annotations

import os
from collections.abc import Iterable

#: Cityscapes labelId -> trainId, road to bicycle; every other id, and -1 (255 in a PNG), is 255.
#: Source: labels.py of cityscapesScripts; the same table is in DANNet's and MMSegmentation's code.
TRAIN_ID_OF_LABEL_ID = dict(
    zip((7, 8, 11, 12, 13, 17, *range(19, 29), 31, 32, 33), range(19), strict=True)
)
MAX_LABEL_ID = max(TRAIN_ID_OF_LABEL_ID)
NUM_TRAIN_IDS = len(TRAIN_ID_OF_LABEL_ID)
IGNORE_INDEX = 255

_RELABEL = 'convert it to trainIds or correct seg_map_suffix'
_CONVERT = 'convert it or correct seg_map_suffix'


def expected_ids(num_classes: int, ignore_index: int = IGNORE_INDEX) -> str:
    """Say which ids a label may hold.

    Args:
        num_classes: Number of classes.
        ignore_index: Id of the pixels that do not count.
    """
    return f'expected class ids 0..{num_classes - 1} and {ignore_index} (ignore) in one channel'


def foreign_ids_fault(
    what: str,
    values: Iterable[int],
    num_classes: int,
    ignore_index: int = IGNORE_INDEX,
    relabel: str = _RELABEL,
    otherwise: str = _CONVERT,
) -> str | None:
    """Say that a label holds ids that no class has, and whether they look like labelIds, or None.

    Args:
        what: The label, at the beginning of a sentence.
        values: Its values.
        num_classes: Number of classes.
        ignore_index: Id of the pixels that do not count.
        relabel: What helps against labelIds.
        otherwise: What helps against other values.
    """
    wrong = sorted({v for v in values if v != ignore_index and not 0 <= v < num_classes})
    if not wrong:
        return None
    some = ', '.join(map(str, wrong[:8])) + (', …' if len(wrong) > 8 else '')
    expected = expected_ids(num_classes, ignore_index)
    if num_classes == NUM_TRAIN_IDS and 0 <= wrong[0] and wrong[-1] <= MAX_LABEL_ID:
        return f'{what} holds the values {some}, which look like labelIds: {expected} (trainIds); {relabel}.'
    return f'{what} holds the values {some}: {expected}; {otherwise}.'


def label_ids_beside(label: str) -> str | None:
    """The file of labelIds beside a missing file of trainIds, if there is one.

    Args:
        label: The missing file, ``*_labelTrainIds.png``.
    """
    train_ids = '_labelTrainIds.png'
    other = label.removesuffix(train_ids) + '_labelIds.png'
    return other if label.endswith(train_ids) and os.path.isfile(other) else None
