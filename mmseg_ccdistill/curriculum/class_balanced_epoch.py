"""Which images make an epoch in which every class is seen often enough (GCMA's and MGCDA's training)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np


def class_balanced_epoch(
    present: Sequence[Iterable[int]], quota: int, num_classes: int
) -> list[int]:
    """Choose images in order until each class is in enough of them.

    An image is taken if it has a class that is not in enough images yet; then all of its classes count.

    Args:
        present: Classes in the label of each image, in the order of the draw: shuffle it first.
        quota: In how many images each class should be (GCMA's code: 100).
        num_classes: K.

    Returns:
        Positions of the chosen images, rising. A class that fewer images have is in all of those.

    Raises:
        ValueError: If the quota is not positive.
    """
    if quota < 1:
        raise ValueError(
            f'class_balanced_epoch got quota={quota}: expected 1 or more images for each class.'
        )
    seen = np.zeros(num_classes, dtype=np.int64)
    chosen: list[int] = []
    for number, classes in enumerate(present):
        held = sorted(set(classes))
        if held and (seen[held] < quota).any():
            chosen.append(number)
            seen[held] += 1
        if (seen >= quota).all():
            break
    return chosen
