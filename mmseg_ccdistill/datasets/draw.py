"""One draw from the source domain, and the streams of random numbers of one seed."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from .rare_classes import WantedClass

# Streams of one seed: the order of an epoch, the augmentation of a draw and the dropout of a training
# step never share random numbers.
ORDER_STREAM, _SAMPLE_STREAM, STEP_STREAM = 0, 1, 2


class Draw(NamedTuple):
    """One draw from the source domain.

    Attributes:
        index: Position of the image in the source dataset.
        number: How many draws the whole world took before this one; 0, 1, 2, … over all ranks and
            epochs.
        seed: Seed of the run.
        wanted: What the crop of the source image shall show; None: anything.
    """

    index: int  # type: ignore[assignment]  # wins over tuple.index
    number: int
    seed: int
    wanted: WantedClass | None = None

    def seed_sequence(self) -> np.random.SeedSequence:
        """Return the source of this draw's random numbers: ``seed`` and ``number`` only."""
        return np.random.SeedSequence(self.seed, spawn_key=(_SAMPLE_STREAM, self.number))
