"""The samples that a training run sees, by the number of their draw."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any

import numpy as np
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmseg.registry import DATA_SAMPLERS, DATASETS
from torch import Tensor

from ..datasets.draw import Draw
from ..errors import UserInputError
from ..runtime.random_state import seeded
from .start_up_checks import check_data_roots


def training_dataset(config: Config) -> Any:
    """Build the config's training set, with plain words for missing folders.

    Raises:
        UserInputError: If the config trains on nothing, or a folder or list is missing or empty.
    """
    if not (config.get('train_dataloader') or {}).get('dataset'):
        raise UserInputError('the config has no train_dataloader.dataset; take one that trains')
    check_data_roots(config, ['train_dataloader'])
    init_default_scope(config.get('default_scope', 'mmseg'))
    return DATASETS.build(config.train_dataloader.dataset)


def training_draws(
    config: Config, dataset: Any, numbers: Sequence[int]
) -> Iterator[tuple[int, Any]]:
    """Yield chosen draws of a training run.

    With a ``DrawSampler`` a sample is a function of seed and number: these are the very crops that
    a run of this config trains on. With other samplers the order of the images is that of the run,
    but the crops are not: they depend on its workers. They are seeded by the draw's number.

    Args:
        config: Config with ``train_dataloader.sampler``.
        dataset: What :func:`training_dataset` returned.
        numbers: Draws, counted from 0 over all ranks.

    Yields:
        ``(number, packed sample)`` in ascending order.

    Raises:
        UserInputError: If a number is negative or beyond the sampler's end.
    """
    wanted = sorted(set(numbers))
    if wanted and wanted[0] < 0:
        raise UserInputError(f'there is no draw {wanted[0]}; draws are counted from 0')
    seed = (config.get('randomness') or {}).get('seed') or 0
    sampler = DATA_SAMPLERS.build(
        dict(config.train_dataloader.sampler), default_args=dict(dataset=dataset, seed=seed)
    )
    drawn = set()
    for number, index in enumerate(islice(iter(sampler), wanted[-1] + 1 if wanted else 0)):
        if number not in wanted:
            continue
        drawn.add(number)
        if isinstance(index, Draw):
            yield number, dataset[index]
        else:
            with seeded(np.random.SeedSequence(seed, spawn_key=(number,))):
                sample = dataset[int(index)]
            yield number, sample
    if len(drawn) < len(wanted):
        raise UserInputError(
            f'there is no draw {next(n for n in wanted if n not in drawn)}: '
            f'the sampler ends after {len(dataset)} draws'
        )


def packed_image(image: Tensor) -> np.ndarray:
    """A packed image, ``(3, H, W)`` uint8, as OpenCV has it: ``(H, W, 3)`` uint8, channels in the same order."""
    return np.ascontiguousarray(image.permute(1, 2, 0).numpy())
