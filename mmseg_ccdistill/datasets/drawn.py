"""Numbered draws: a sample is a function of the draw alone."""

from __future__ import annotations

import operator
from collections.abc import Mapping
from typing import Any

from mmseg.registry import DATASETS
from torch.utils.data import Dataset

from ..runtime.random_state import seeded
from .draw import Draw
from .file_check import build_lazily, initialise
from .rare_classes import fetch_wanted
from .unreadable import fetch_readable, note_replaced, replacement_sequence


@DATASETS.register_module()
class DrawnDataset(Dataset):
    """Samples a dataset by numbered draws: the training set of a source-only stage.

    Indexed with a :class:`Draw` (by ``DrawSampler``), all random numbers of a sample come from
    ``(draw.seed, draw.number)`` and the caller's generators are left as they were: the same image
    gets another crop and flip in the next epoch, workers and ranks do not matter, and resuming is
    skipping to a draw. Indexed with an int, the ambient generators decide.

    A sample with an unreadable file is replaced by another one that ``(draw.seed, draw.number)``
    determines; ``DataGuardHook`` counts and stops the run at too many. ``CrossDomainDataset`` does
    the same with two datasets.

    Args:
        dataset: Dataset or its config.
        lazy_init: Leave listing the files to ``full_init``. Defaults to False.

    Raises:
        DatasetCheckError: If a root, folder or list is missing or empty.
    """

    def __init__(self, dataset: Mapping | Dataset, lazy_init: bool = False) -> None:
        self.dataset = build_lazily(dataset)
        if not lazy_init:
            self.full_init()

    @property
    def metainfo(self) -> dict:
        """Meta information of the dataset: classes and palette."""
        return self.dataset.metainfo

    def full_init(self) -> None:
        """List the files.

        Raises:
            DatasetCheckError: If a root, folder or list is missing or empty.
        """
        initialise(self.dataset)

    def get_data_info(self, index: int) -> dict:
        """What the dataset knows of a sample before its pipeline.

        Args:
            index: Number of the sample.
        """
        return self.dataset.get_data_info(index)

    def __len__(self) -> int:
        """Number of samples."""
        return len(self.dataset)

    def __getitem__(self, index: int | Draw) -> Any:
        """Return one sample.

        Args:
            index: A draw, or the number of a sample.

        Returns:
            What the dataset's pipeline makes of it.
        """
        if isinstance(index, Draw):
            with seeded(index.seed_sequence()):
                return self._sample(index.index, index)
        return self._sample(operator.index(index), operator.index(index))

    def _sample(self, index: int, draw: int | Draw) -> Any:
        sample, replaced = fetch_wanted(
            lambda: fetch_readable(self.dataset, index, replacement_sequence(draw, 0)),
            draw.wanted if isinstance(draw, Draw) else None,
            self.dataset,
        )
        note_replaced(sample, replaced)
        return sample
