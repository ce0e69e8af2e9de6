"""Source and target domain in one dataset: S_d, T_d and T_n of a sample, from one numbered draw."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from mmengine.dataset import Compose
from mmseg.registry import DATASETS
from torch.utils.data import Dataset

from ..errors import UserInputError
from .class_names import class_difference
from .draw_sampler import Draw
from .file_check import (
    DatasetCheckError,
    build_dataset,
    build_lazily,
    initialise,
    leaf_datasets,
)
from .random_state import seeded
from .unreadable import fetch_readable, note_replaced, replacement_sequence

_TARGET_DOMAINS = ('target_day', 'target_night')


@DATASETS.register_module()
class CrossDomainDataset(Dataset):
    """Pairs every labelled source image with a day-night pair of the target domain.

    The length is that of the source; the target pair is drawn uniformly. Indexed with a
    :class:`Draw` (by ``DrawSampler``), all random numbers of a sample come from ``(draw.seed,
    draw.number)`` and the caller's generators are left as they were: the same image gets another
    pair, crop and flip in the next epoch, workers and ranks do not matter, and resuming is skipping
    to a draw. Indexed with an int, the ambient generators decide.

    A source image or a pair with an unreadable file is replaced by another one that ``(draw.seed,
    draw.number)`` determines; ``DataGuardHook`` counts and stops the run at too many.

    Args:
        source: Labelled source dataset or its config; its pipeline must not pack.
        target: Dataset of day-night pairs or its config; its samples are dicts with ``target_day``
            and ``target_night``.
        pipeline: Transforms of the whole sample, ``{'source_day': …, 'target_day': …,
            'target_night': …}``: usually ``LABTransfer`` and ``PackCrossDomainInputs``.
        lazy_init: Leave listing the files to ``full_init``. Defaults to False.

    Raises:
        DatasetCheckError: If a root, folder or list is missing or empty, or source and target
            differ in ``ignore_index`` or, where the target names classes, in classes or palette.
    """

    def __init__(
        self,
        source: Mapping | Dataset,
        target: Mapping | Dataset,
        pipeline: Sequence[Mapping | Callable] = (),
        lazy_init: bool = False,
    ) -> None:
        self.source = self._build(source, lazy_init)
        self.target = self._build(target, lazy_init)
        check_compatible(self.source, self.target)
        self.pipeline = Compose(list(pipeline))
        if not lazy_init:
            self.full_init()

    @staticmethod
    def _build(dataset: Mapping | Dataset, lazy_init: bool) -> Any:
        if not isinstance(dataset, Mapping):
            return dataset
        if lazy_init:
            return build_lazily(dataset)
        return build_dataset(dataset)

    @property
    def metainfo(self) -> dict:
        """Meta information of the source: classes and palette."""
        return self.source.metainfo

    def full_init(self) -> None:
        """List the files of both datasets.

        Raises:
            DatasetCheckError: If a root, folder or list is missing or empty.
        """
        initialise(self.source)
        initialise(self.target)

    def __len__(self) -> int:
        """Number of source images."""
        return len(self.source)

    def __getitem__(self, index: int | Draw) -> Any:
        """Return one sample.

        Args:
            index: A draw, or the number of a source image.

        Returns:
            What the pipeline makes of the results by domain.
        """
        if isinstance(index, Draw):
            with seeded(index.seed_sequence()):
                return self._sample(index.index, index)
        return self._sample(operator.index(index), operator.index(index))

    def _sample(self, index: int, draw: int | Draw) -> Any:
        target_index = int(np.random.randint(len(self.target)))
        source, replaced = fetch_readable(self.source, index, replacement_sequence(draw, 0))
        pair, replaced_pairs = fetch_readable(
            self.target, target_index, replacement_sequence(draw, 1)
        )
        if not isinstance(pair, Mapping) or not all(domain in pair for domain in _TARGET_DOMAINS):
            raise UserInputError(
                f'The target {type(self.target).__name__} returned no day-night pair: expected a '
                'dict with target_day and target_night; use e.g. DarkZurichPairDataset.'
            )
        results = {'source_day': source, **{domain: pair[domain] for domain in _TARGET_DOMAINS}}
        sample = self.pipeline(results)
        note_replaced(sample, replaced + replaced_pairs)
        return sample


def check_compatible(source: Any, target: Any) -> None:
    """Check that one set of class ids fits both domains.

    Pairs without labels need no classes: where the target names none, those of the source count.

    Args:
        source: Dataset with ``metainfo``.
        target: Dataset with ``metainfo``.

    Raises:
        DatasetCheckError: If the source names no classes, or classes (also their order), palette or
            ``ignore_index`` differ.
    """
    names = f'source ({type(source).__name__}) and target ({type(target).__name__})'
    fix = (
        'set metainfo=dict(classes=..., palette=...) of the source alone if the target is unlabelled, '
        'else of both alike'
    )
    ours, theirs = (list(dataset.metainfo.get('classes') or ()) for dataset in (source, target))
    if not ours:
        raise DatasetCheckError(
            f'The source ({type(source).__name__}) names no classes: expected the names of its label ids; '
            'set metainfo=dict(classes=..., palette=...) of the source.'
        )
    if theirs:
        difference = class_difference(ours, theirs, ('source', 'target'))
        if difference is not None:
            raise DatasetCheckError(
                f'The {names} have different classes ({difference}): expected equal classes; {fix}.'
            )
        colours = [np.asarray(data.metainfo.get('palette') or ()) for data in (source, target)]
        if not np.array_equal(colours[0], colours[1]):
            raise DatasetCheckError(
                f'The {names} have different palettes: expected equal colours for each class; {fix}.'
            )
    ignored = {
        getattr(leaf, 'ignore_index', 255)
        for dataset in (source, target)
        for leaf in leaf_datasets(dataset)
    }
    if len(ignored) > 1:
        raise DatasetCheckError(
            f'The {names} have different values of ignore_index, {sorted(ignored)}: expected one; '
            'set ignore_index of both alike.'
        )
