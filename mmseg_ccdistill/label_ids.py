"""Ids in label files: which ones a data set may hold, and what others are."""

from __future__ import annotations

import os
from collections.abc import Iterable

#: Cityscapes labelId -> trainId; every other id, and -1 (255 in a PNG), is 255.
#: Source: labels.py of cityscapesScripts; the same table is in DANNet's and MMSegmentation's code.
TRAIN_ID_OF_LABEL_ID = {
    7: 0,  # road
    8: 1,  # sidewalk
    11: 2,  # building
    12: 3,  # wall
    13: 4,  # fence
    17: 5,  # pole
    19: 6,  # traffic light
    20: 7,  # traffic sign
    21: 8,  # vegetation
    22: 9,  # terrain
    23: 10,  # sky
    24: 11,  # person
    25: 12,  # rider
    26: 13,  # car
    27: 14,  # truck
    28: 15,  # bus
    31: 16,  # train
    32: 17,  # motorcycle
    33: 18,  # bicycle
}
MAX_LABEL_ID = max(TRAIN_ID_OF_LABEL_ID)
NUM_TRAIN_IDS = len(TRAIN_ID_OF_LABEL_ID)
IGNORE_INDEX = 255

_RELABEL = 'convert it to trainIds or correct seg_map_suffix'
_CONVERT = 'convert it or correct seg_map_suffix'


def foreign_ids(
    values: Iterable[int], num_classes: int, ignore_index: int = IGNORE_INDEX
) -> list[int]:
    """Ids that no class has.

    Args:
        values: Values of a label.
        num_classes: Ids 0..num_classes - 1 are right.
        ignore_index: So is this one.

    Returns:
        Sorted; empty if the label is right.
    """
    return sorted({v for v in values if v != ignore_index and not 0 <= v < num_classes})


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
    wrong = foreign_ids(values, num_classes, ignore_index)
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
