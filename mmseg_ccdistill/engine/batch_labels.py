"""Ids in the labels of a batch that no class has."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor


def wrong_ids(label: Tensor, num_classes: int, ignore_index: int) -> list[int]:
    """Ids in a label that no class has.

    Args:
        label (Tensor): Ids ``(1, H, W)`` on the CPU, int64; MMSegmentation loads them as uint8.
        num_classes (int): Ids 0..num_classes - 1 are right.
        ignore_index (int): So is this one.

    Returns:
        list[int]: Sorted; empty if the label is right.
    """
    ids = label.to(torch.uint8).numpy()
    if ignore_index == 255 and (ids + 1).max(initial=0) <= num_classes:  # 255 + 1 is 0 in uint8
        return []
    return [int(i) for i in np.unique(ids) if i >= num_classes and i != ignore_index]
