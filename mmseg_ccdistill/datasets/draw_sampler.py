"""Sampler that numbers its draws: every sample is a function of (seed, draw number) alone."""

from __future__ import annotations

from collections.abc import Iterator, Sized
from typing import NamedTuple

import numpy as np
from mmengine.dist import get_dist_info, sync_random_seed
from mmseg.registry import DATA_SAMPLERS
from torch.utils.data import Sampler

from ..errors import UserInputError

# Streams of one seed: the order of an epoch, the augmentation of a draw and the dropout of a training
# step never share random numbers.
_ORDER_STREAM, _SAMPLE_STREAM, STEP_STREAM = 0, 1, 2


class Draw(NamedTuple):
    """One draw from the source domain.

    Attributes:
        index: Position of the image in the source dataset.
        number: How many draws the whole world took before this one; 0, 1, 2, … over all ranks and
            epochs.
        seed: Seed of the run.
    """

    index: int  # type: ignore[assignment]  # wins over tuple.index
    number: int
    seed: int

    def seed_sequence(self) -> np.random.SeedSequence:
        """Return the source of this draw's random numbers: ``seed`` and ``number`` only."""
        return np.random.SeedSequence(self.seed, spawn_key=(_SAMPLE_STREAM, self.number))


def epoch_order(size: int, epoch: int, seed: int) -> np.ndarray:
    """Shuffle the images of one epoch.

    Args:
        size: Number of images.
        epoch: Number of the epoch, from 0.
        seed: Seed of the run, >= 0.

    Returns:
        Permutation of ``range(size)``, int64 ``(size,)``. It comes from numpy's frozen
        ``RandomState`` stream, so it is the same under every version of numpy and torch.
    """
    sequence = np.random.SeedSequence(seed, spawn_key=(_ORDER_STREAM, epoch))
    return np.random.RandomState(np.random.MT19937(sequence)).permutation(size)


@DATA_SAMPLERS.register_module()
class DrawSampler(Sampler):
    """Infinite sampler that yields :class:`Draw` (index, number, seed) in a fixed global order.

    Draw ``n`` shows the image at position ``n mod len(dataset)`` of the order of epoch ``n //
    len(dataset)``. Rank r of W takes the draws r, r + W, r + 2W, …: the ranks together always take
    the same draws in the same order, so neither the number of ranks nor of workers changes what a
    draw looks like, and resuming is skipping to a draw.

    Args:
        dataset: Dataset whose length sets the epoch.
        seed: Seed of the run. None asks mmengine for one seed that all ranks share. Defaults to
            None.
        start: First draw, counted over all ranks (samples that the whole world has already seen).
            Defaults to 0.

    Raises:
        UserInputError: If the dataset is empty, or ``seed`` or ``start`` is negative.
    """

    def __init__(self, dataset: Sized, seed: int | None = None, start: int = 0) -> None:
        self.rank, self.world_size = get_dist_info()
        self.dataset = dataset
        self.size = len(dataset)
        self.seed = int(sync_random_seed() if seed is None else seed)
        self.start = int(start)
        if self.size == 0:
            raise UserInputError(
                'DrawSampler got an empty dataset: expected at least one image; '
                'check its data_root.'
            )
        if self.seed < 0 or self.start < 0:
            raise UserInputError(
                f'DrawSampler got seed={seed} and start={start}: expected integers >= 0; '
                'correct train_dataloader.sampler or randomness.seed.'
            )
        self._first = self.start

    def __iter__(self) -> Iterator[Draw]:
        """Yield the draws of this rank from the first one on, without end."""
        number = self._first + self.rank
        epoch, order = -1, np.empty(0, dtype=np.int64)
        while True:
            if number // self.size != epoch:
                epoch = number // self.size
                order = epoch_order(self.size, epoch, self.seed)
            yield Draw(int(order[number % self.size]), number, self.seed)
            number += self.world_size

    def __len__(self) -> int:
        """Length of one epoch over all ranks (the sampler itself never ends)."""
        return self.size

    def skip(self, num_samples: int) -> None:
        """Continue as if this rank had already taken ``num_samples`` draws.

        This is mmengine's contract for resuming (``InfiniteSampler.skip``).

        Args:
            num_samples: Samples per rank, counted from ``start``; call it before iterating.

        Raises:
            UserInputError: If ``num_samples`` is negative.
        """
        if num_samples < 0:
            raise UserInputError(
                f'DrawSampler.skip got {num_samples}: expected the number of samples '
                'already taken, >= 0.'
            )
        self._first = self.start + int(num_samples) * self.world_size

    def set_epoch(self, epoch: int) -> None:
        """Do nothing: the epoch follows from the draw number.

        Args:
            epoch: Ignored.
        """
