"""The public sets that a user has: where they lie, whether they are whole, and what the configs must be told."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mmengine.config import Config

from mmseg_ccdistill.curation.audit import examine, show_report
from mmseg_ccdistill.datasets.published_sets import PUBLISHED_SETS
from mmseg_ccdistill.engine.start_up_checks import dataset_configs
from mmseg_ccdistill.errors import UserInputError

#: Data loaders of a config that name sets.
_LOADERS = ('train_dataloader', 'val_dataloader', 'test_dataloader')


def option_of(name: str) -> str:
    """The option that names the root of a set."""
    return f'--{name.replace("_", "-")}'


def absolute_roots(given: Mapping[str, str | None]) -> dict[str, str]:
    """Roots of the sets that were given, by key of ``PUBLISHED_SETS``.

    Raises:
        UserInputError: If one is no folder.
    """
    roots = {name: os.path.abspath(root) for name, root in given.items() if root is not None}
    for name, root in roots.items():
        if not os.path.isdir(root):
            raise UserInputError(
                f'{option_of(name)}: {root!r} is no folder: expected the root of {PUBLISHED_SETS[name].title}; '
                'docs/data.md says how it is laid out'
            )
    return roots


def check_data(roots: Mapping[str, str], quick: bool) -> None:
    """Compare the sets on disk with what was published, and show what was found.

    Args:
        roots: Root by set.
        quick: Whether to read headers only.

    Raises:
        UserInputError: If there is a fault.
    """
    report = examine(roots, quick=quick, sets=PUBLISHED_SETS)
    show_report(report)
    faults = [finding for finding in report.findings if finding.verdict == 'fault']
    if faults:
        first = faults[0]
        count = '1 fault' if len(faults) == 1 else f'{len(faults)} faults'
        raise UserInputError(
            f'the data have {count}, listed above; the first is in {first.set}, {first.check}: {first.text} Labels and '
            'lists that are made from the archives: give --prepare'
        )


def root_options(config: Config, roots: Mapping[str, str], path: str) -> dict[str, Any]:
    """Settings that lead the data loaders of a config to the roots.

    Args:
        config: A config whose sets lie in ``data/<set>``; sets elsewhere are left alone.
        roots: Root by set.
        path: File of the config, for the message.

    Returns:
        Value by dotted key.

    Raises:
        UserInputError: If the config reads a set that was not given.
    """
    options = {}
    for loader in _LOADERS:
        dataset = (config.get(loader) or {}).get('dataset')
        for key, node in dataset_configs(dataset, f'{loader}.dataset'):
            folder, name = os.path.split(os.path.normpath(str(node.get('data_root') or '')))
            if folder != 'data' or name not in PUBLISHED_SETS:
                continue
            if name not in roots:
                raise UserInputError(
                    f'{path}: {key} reads {PUBLISHED_SETS[name].title}: expected its root; give {option_of(name)}'
                )
            options[f'{key}.data_root'] = roots[name]
    return options


def has_split(roots: Mapping[str, str], name: str, split: str) -> bool:
    """Whether the images of a split are there.

    Args:
        roots: Root by set.
        name: Key of the set.
        split: Name of the split in ``PUBLISHED_SETS``.
    """
    if name not in roots:
        return False
    layouts = PUBLISHED_SETS[name].layouts.values()
    folders = [part.images for layout in layouts for part in layout if part.name == split]
    return any(Path(roots[name], folder).is_dir() for folder in folders)
