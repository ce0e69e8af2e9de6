"""Labelled sets mixed by shares: part and image of a sample follow from the number of its draw."""

from __future__ import annotations

import bisect
import itertools
import operator
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from mmseg.registry import DATASETS
from torch.utils.data import Dataset

from ..errors import UserInputError
from ..runtime.random_state import seeded
from .class_names import class_difference
from .draw import Draw
from .file_check import DatasetCheckError, build_lazily, initialise
from .unreadable import fetch_readable, note_replaced, replacement_sequence

#: Meta information of a sample: the name of its part.
PART_KEY = 'part'
# Stream of a seed that chooses part and image; ``draw``, ``unreadable`` and ``rare_classes`` have those before it.
_STREAM = 5


def choose_image(
    shares: Sequence[float], sizes: Sequence[int], seed: int, number: int
) -> tuple[int, int]:
    """Choose part and image of a draw: the part by its share, then an image of it uniformly.

    Args:
        shares: Share of each part, positive; they need not sum to 1.
        sizes: Number of images of each part.
        seed: Seed of the run, >= 0.
        number: Number of the draw.

    Returns:
        Number of the part and of its image. They come from numpy's frozen ``RandomState`` stream, so they are the
        same under every version of numpy.
    """
    sequence = np.random.SeedSequence(seed, spawn_key=(_STREAM, number))
    first, second = np.random.RandomState(np.random.MT19937(sequence)).random_sample(2)
    rising = list(itertools.accumulate(shares))
    part = min(bisect.bisect_right(rising, first * rising[-1]), len(rising) - 1)
    return part, int(second * sizes[part])


@DATASETS.register_module()
class MixedDataset(Dataset):
    """Labelled sets side by side, each with a share of the draws: labelled days and pseudo-labelled nights.

    Indexed with a :class:`Draw` (by ``DrawSampler``), part, image and all random numbers of a sample come from
    ``(draw.seed, draw.number)``; ``draw.index`` is not read. Ranks and workers do not matter, and resuming is
    skipping to a draw. Images are drawn with replacement. Indexed with an int, the parts stand one behind the other.

    The length is the number of images of all parts: so many draws are an epoch.

    A packed sample tells its part in the meta information ``part``. A sample with an unreadable file is replaced by
    another one of its part, as in ``DrawnDataset``.

    Args:
        parts: Each ``dict(dataset=..., share=..., name=...)``: a labelled dataset (or its config) whose pipeline
            packs, how often it is drawn relative to the others, and its name in the log; without a name ``part0``,
            ``part1``, ….
        lazy_init: Leave listing the files to ``full_init``. Defaults to False.

    Raises:
        UserInputError: If there is no part, a part has other settings, no positive share or a name twice.
        DatasetCheckError: If parts differ in classes or ``ignore_index``; if a root, folder or list is missing or
            empty.
    """

    def __init__(self, parts: Sequence[Mapping[str, Any]], lazy_init: bool = False) -> None:
        _check_parts(parts)
        self.names = [part.get('name', f'part{k}') for k, part in enumerate(parts)]
        self.shares = [float(part['share']) for part in parts]
        #: The datasets; checks find the files by this name.
        self.datasets = [build_lazily(part['dataset']) for part in parts]
        _check_labels(self.names, self.datasets)
        self._ends: list[int] = []
        if not lazy_init:
            self.full_init()

    @property
    def metainfo(self) -> dict:
        """Meta information of the first part: classes and palette are those of all."""
        return self.datasets[0].metainfo

    def full_init(self) -> None:
        """List the files of all parts.

        Raises:
            DatasetCheckError: If a root, folder or list is missing or empty.
        """
        for name, dataset in zip(self.names, self.datasets, strict=True):
            try:
                initialise(dataset)
            except DatasetCheckError as error:
                raise DatasetCheckError(f'Part {name!r} of MixedDataset: {error}') from error
        self._ends = list(itertools.accumulate(len(dataset) for dataset in self.datasets))

    def get_data_info(self, index: int) -> dict:
        """What is known of a sample before its pipeline.

        Args:
            index: Number of the image, the parts one behind the other.
        """
        part, inside = self._place(index)
        return self.datasets[part].get_data_info(inside)

    def __len__(self) -> int:
        """Number of images of all parts."""
        return self._ends[-1]

    def __getitem__(self, index: int | Draw) -> Any:
        """Return one sample.

        Args:
            index: A draw, or the number of an image.

        Returns:
            What the pipeline of the part makes of it, with the name of the part.
        """
        if isinstance(index, Draw):
            sizes = [len(dataset) for dataset in self.datasets]
            part, inside = choose_image(self.shares, sizes, index.seed, index.number)
            with seeded(index.seed_sequence()):
                return self._sample(part, inside, index)
        number = range(len(self))[operator.index(index)]
        return self._sample(*self._place(number), number)

    def _place(self, index: int) -> tuple[int, int]:
        part = bisect.bisect_right(self._ends, index)
        return part, index - (self._ends[part - 1] if part else 0)

    def _sample(self, part: int, index: int, draw: int | Draw) -> Any:
        replacements = replacement_sequence(draw, part)
        sample, replaced = fetch_readable(self.datasets[part], index, replacements)
        packed = sample.get('data_samples')
        if packed is not None:
            packed.set_metainfo({PART_KEY: self.names[part]})
        note_replaced(sample, replaced)
        return sample


def _check_parts(parts: Sequence[Mapping[str, Any]]) -> None:
    """Check the settings of the parts."""
    key = 'parts of MixedDataset'
    if not isinstance(parts, list | tuple) or not parts:
        raise UserInputError(
            f'{key} is {parts!r}: expected a list of dict(dataset=..., share=...); name the labelled sets to mix.'
        )
    for number, part in enumerate(parts):
        extra = sorted(set(part) - {'dataset', 'share', 'name'})
        missing = [name for name in ('dataset', 'share') if name not in part]
        if extra or missing:
            what = f'has {extra[0]!r}' if extra else f'lacks {missing[0]!r}'
            raise UserInputError(
                f'{key}: number {number} {what}: expected dataset, share and, if wanted, name; correct it.'
            )
        share = part['share']
        if (
            not isinstance(share, int | float)
            or isinstance(share, bool)
            or not 0 < share < float('inf')
        ):
            raise UserInputError(
                f'{key}: number {number} has share={share!r}: expected a positive number, how often the part is '
                'drawn relative to the others; correct it, or take the part out.'
            )
    names = [part.get('name', f'part{number}') for number, part in enumerate(parts)]
    for name in names:
        if not isinstance(name, str) or 'loss' in name:
            raise UserInputError(
                f'{key}: one has the name {name!r}: expected a word without "loss", which the log keeps for what is '
                'optimised; rename it.'
            )
        if names.count(name) > 1:
            raise UserInputError(
                f'{key}: two have the name {name!r}: expected different ones, because the log tells parts apart '
                'by them; rename one.'
            )


def _check_labels(names: Sequence[str], datasets: Sequence[Any]) -> None:
    """Check that one set of label ids fits all parts."""
    first, *others = zip(names, datasets, strict=True)
    for name, dataset in others:
        ours, theirs = (list(d.metainfo.get('classes') or ()) for d in (first[1], dataset))
        difference = class_difference(ours, theirs, (repr(first[0]), repr(name)))
        ignored = [getattr(d, 'ignore_index', 255) for d in (first[1], dataset)]
        if difference is None and ignored[0] != ignored[1]:
            difference = f'ignore_index {ignored[0]} and {ignored[1]}'
        if difference is not None:
            raise DatasetCheckError(
                f'Parts {first[0]!r} and {name!r} of MixedDataset have different labels ({difference}): expected the '
                'same classes in the same order and one ignore_index; set metainfo=dict(classes=...) and '
                'ignore_index of both alike.'
            )
