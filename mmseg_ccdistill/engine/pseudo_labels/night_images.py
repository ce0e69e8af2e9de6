"""Which images get pseudo labels: the nights of a config's training list, or files that the user names."""

from __future__ import annotations

import os
from pathlib import Path

from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmseg.registry import DATASETS

from ...curation.audit.listing import list_files
from ...datasets import DayNightPairDataset, read_pair_list
from ...datasets.file_check import build_lazily, check_roots
from ...datasets.file_scan import map_parallel
from ...datasets.image_facts import UnreadableFileError, read_facts, unreadable_sentence
from ...errors import UserInputError
from ..start_up_checks import dataset_configs

_SUFFIXES = ('.png', '.jpg', '.jpeg')
#: Settings of a pair data set that speak of labels which are yet to be made.
_LABEL_SETTINGS = ('night_label_dir', 'night_labels_of')


def training_nights(config: Config) -> dict[str, str]:
    """The night images of a config's training list.

    Args:
        config: Config whose training set has day-night pairs.

    Returns:
        Files by name relative to ``data_prefix.img_path`` of the pairs, each once, in the order of the list.

    Raises:
        UserInputError: If there are no pairs, several sets of them, or their root or list is missing.
    """
    init_default_scope(config.get('default_scope', 'mmseg'))
    node = (config.get('train_dataloader') or {}).get('dataset')
    found = [
        (key, cfg)
        for key, cfg in dataset_configs(node, 'train_dataloader.dataset')
        if _is_of_pairs(cfg.get('type'))
    ]
    if len(found) != 1:
        raise UserInputError(
            f'train_dataloader.dataset of the config has {len(found)} sets of day-night pairs: expected one, whose '
            'nights are labelled; take the config of an adaptation, or name the images with --images'
        )
    key, cfg = found[0]
    settings = {name: value for name, value in cfg.items() if name not in _LABEL_SETTINGS}
    dataset = build_lazily({**settings, 'pipeline': []})
    try:
        check_roots(dataset)
        names = [night + dataset.img_suffix for night, _ in read_pair_list(dataset.ann_file)]
    except UserInputError as error:
        raise UserInputError(f'{key}: {error}') from error
    return _files(dataset.data_prefix['img_path'], names)


def _is_of_pairs(kind: object) -> bool:
    found = DATASETS.get(kind) if isinstance(kind, str) else kind
    return isinstance(found, type) and issubclass(found, DayNightPairDataset)


def named_images(path: str, root: str | None = None) -> dict[str, str]:
    """The images of a folder or of a list.

    Args:
        path: A folder, searched with all below it; or a text file with one image on a line.
        root: Folder that the lines of a list are relative to. Defaults to None: the folder of the list.

    Returns:
        Files by name relative to the folder.

    Raises:
        UserInputError: If there is no such folder or list, or nothing in it.
    """
    if os.path.isdir(path):
        if root is not None:
            raise UserInputError(
                f'--image-root {root!r} goes with a list, and --images {path!r} is a folder: leave --image-root out'
            )
        found = [
            os.path.relpath(file, path)
            for file in list_files(path, '')  # links are followed
            if file.lower().endswith(_SUFFIXES)
        ]
        return _not_empty(_files(path, found), path)
    try:
        lines = Path(path).read_text(encoding='utf-8-sig').splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UserInputError(
            f'--images {path!r} cannot be read ({type(error).__name__}): expected a folder, or a text file with one '
            'image on a line; name another'
        ) from error
    names = [line.strip() for line in lines if line.strip()]
    outside = [name for name in names if os.path.isabs(name) or '..' in Path(name).parts]
    if outside:
        raise UserInputError(
            f'--images {path!r} names {outside[0]!r}: expected files below one folder; write them relative to it and '
            'name it with --image-root'
        )
    folder = os.path.dirname(path) if root is None else root
    return _not_empty(_files(folder, names), path)


def _files(folder: str, names: list[str]) -> dict[str, str]:
    return {name: os.path.join(folder, name) for name in dict.fromkeys(names)}


def _not_empty(images: dict[str, str], path: str) -> dict[str, str]:
    if not images:
        raise UserInputError(
            f'--images {path!r} holds no image: expected files that end in {", ".join(_SUFFIXES)}, or a list of them; '
            'name another'
        )
    return images


def check_images(images: dict[str, str]) -> None:
    """Look at the header of every image before the first is predicted.

    Args:
        images: Files by name.

    Raises:
        UserInputError: At the first one that is missing or no image.
    """

    def fault(path: str) -> str | None:
        try:
            read_facts(path, with_values=False)
        except UnreadableFileError as error:
            return unreadable_sentence(path, str(error), role='image')
        return None

    for sentence in map_parallel(fault, list(images.values()), 'Looking at images'):
        if sentence is not None:
            raise UserInputError(sentence)
