"""Sampler that numbers its draws: every sample is a function of (seed, draw number) alone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from mmengine.dist import broadcast_object_list, get_dist_info, sync_random_seed
from mmseg.registry import DATA_SAMPLERS
from torch.utils.data import Sampler

from ..errors import UserInputError
from .class_pixels import class_pixels
from .draw import ORDER_STREAM, Draw
from .rare_classes import RareClasses


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
    sequence = np.random.SeedSequence(seed, spawn_key=(ORDER_STREAM, epoch))
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
        rare_classes: Settings of :class:`RareClasses`: source images are chosen by their classes,
            rare ones more often, instead of each once an epoch. The labels of the source are
            counted at the first start. Defaults to None: off.

    Raises:
        UserInputError: If the dataset is empty, ``seed`` or ``start`` is negative, or the rare
            classes cannot be counted.
    """

    def __init__(
        self,
        dataset: Any,
        seed: int | None = None,
        start: int = 0,
        rare_classes: Mapping[str, Any] | None = None,
    ) -> None:
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
        self.rare_classes = None if rare_classes is None else _rare_classes(dataset, rare_classes)

    def __iter__(self) -> Iterator[Draw]:
        """Yield the draws of this rank from the first one on, without end."""
        number = self._first + self.rank
        epoch, order = -1, np.empty(0, dtype=np.int64)
        while True:
            if self.rare_classes is not None:
                index, wanted = self.rare_classes.choose(self.seed, number)
                yield Draw(index, number, self.seed, wanted)
                number += self.world_size
                continue
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


def _rare_classes(dataset: Any, settings: Mapping[str, Any]) -> RareClasses:
    """Count the classes of the source in the first process, for all of them."""
    if hasattr(dataset, 'shares'):
        raise UserInputError(
            'train_dataloader.sampler.rare_classes: MixedDataset chooses its images by the shares of its parts: '
            'expected None; leave rare_classes out.'
        )
    source = getattr(dataset, 'source', getattr(dataset, 'dataset', dataset))
    found: list[Any] = [None, '']
    if get_dist_info()[0] == 0:
        try:
            found[0] = class_pixels(source)
        except Exception as error:  # the others wait, whatever happened
            found[1] = str(error) or type(error).__name__
    broadcast_object_list(found)
    if found[1]:
        raise UserInputError(found[1])
    try:
        return RareClasses(found[0], **settings)
    except TypeError as error:
        raise UserInputError(
            f'train_dataloader.sampler.rare_classes={dict(settings)}: expected some of temperature, min_pixels, '
            f'crop_ratio and tries ({error}); correct the name.'
        ) from error
