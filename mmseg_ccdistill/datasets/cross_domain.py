"""Source and target domains in one dataset: a sample of each, from one numbered draw."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from mmengine.dataset import Compose
from mmseg.registry import DATASETS
from torch.utils.data import Dataset

from .class_names import class_difference
from .domain_flow import (
    by_domain,
    check_made_once,
    check_wanted,
    domains_of,
    plan_flow,
    run_flow,
    select_domains,
)
from .draw import Draw
from .drawn import DrawnDataset
from .file_check import (
    DatasetCheckError,
    build_lazily,
    check_files_of,
    initialise,
    leaf_datasets,
)
from .rare_classes import fetch_wanted
from .unreadable import fetch_readable, note_replaced, replacement_sequence


@DATASETS.register_module()
class CrossDomainDataset(DrawnDataset):
    """Pairs every labelled source image with a sample of the target, e.g. a day-night pair.

    Length and classes are those of the source; the target sample is drawn uniformly. Draws are numbered
    as in :class:`DrawnDataset`, and the same image gets another pair in the next epoch. A source image
    or a pair with an unreadable file is replaced by another one.

    Args:
        source: Labelled source dataset or its config; its pipeline must not pack.
        target: Target dataset or its config, which must not pack. Its samples are results by domain
            (day-night pairs: ``{'target_day': …, 'target_night': …}``) or results of one image,
            which is then ``target_night`` (``target_day`` if ``domains`` names that one alone).
        pipeline: Transforms of the whole sample, ``{'source_day': …, 'target_day': …,
            'target_night': …}``: usually ``LABTransfer`` and ``PackCrossDomainInputs``.
        lazy_init: Leave listing the files to ``full_init``. Defaults to False.
        domains: What the sample shall hold: the domains that the method reads. No other image is
            decoded, and a transform that would make another domain does not run. Defaults to None:
            all that the datasets return and the transforms make.

    Raises:
        DatasetCheckError: If a root, folder or list is missing or empty, a domain comes from nowhere,
            or source and target differ in ``ignore_index`` or, where the target names classes, in
            classes or palette.
    """

    def __init__(
        self,
        source: Mapping | Dataset,
        target: Mapping | Dataset,
        pipeline: Sequence[Mapping | Callable] = (),
        lazy_init: bool = False,
        domains: Sequence[str] | None = None,
    ) -> None:
        super().__init__(source, lazy_init=True)
        self.target = build_lazily(target)
        check_compatible(self.source, self.target)
        self.pipeline = Compose(list(pipeline))
        self.target_alone = 'target_night'
        if domains is not None and 'target_day' in domains and 'target_night' not in domains:
            self.target_alone = 'target_day'
        returned = {
            'source': domains_of(self.source, 'source_day'),
            'target': domains_of(self.target, self.target_alone),
        }
        transforms = self.pipeline.transforms
        check_made_once(transforms, returned)
        everything = [domain for part in returned.values() for domain in part]
        everything += [domain for step in transforms for domain in getattr(step, 'adds', ())]
        self.domains = tuple(everything if domains is None else domains)
        self.decoded, self._steps = plan_flow(transforms, self.domains)
        if domains is not None:
            check_wanted(domains, self.decoded, returned)
            select_domains(self.source, self.decoded)
            select_domains(self.target, self.decoded)
        self.is_selective = domains is not None
        if not lazy_init:
            self.full_init()

    @property
    def source(self) -> Any:
        """The source dataset."""
        return self.dataset

    def full_init(self) -> None:
        """List the files of both datasets, as :meth:`DrawnDataset.full_init` does."""
        super().full_init()
        initialise(self.target)
        check_files_of(step.transform for step in self._steps)

    def _sample(self, index: int, draw: int | Draw) -> Any:
        target_index = int(np.random.randint(len(self.target)))
        parts = (
            (self.source, index, 'source', 'source_day'),
            (self.target, target_index, 'target', self.target_alone),
        )
        results: dict[str, Any] = {}
        replaced: list[str] = []
        for number, (dataset, position, role, alone) in enumerate(parts):
            if not any(domain.startswith(role) for domain in self.decoded):
                continue
            fetch = functools.partial(
                fetch_readable, dataset, position, replacement_sequence(draw, number)
            )
            wanted = draw.wanted if isinstance(draw, Draw) and role == 'source' else None
            sample, bad = fetch_wanted(fetch, wanted, dataset)
            results |= by_domain(sample, alone, role, dataset)
            replaced += bad
        packed = run_flow(self._steps, results) if self.is_selective else self.pipeline(results)
        note_replaced(packed, replaced)
        return packed


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
