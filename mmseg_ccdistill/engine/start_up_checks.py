"""What is checked before anything is built: the checkpoints that a run reads, and its data."""

import os
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from mmengine.config import Config
from mmengine.registry import init_default_scope

from ..datasets.file_check import DatasetCheckError, build_dataset
from ..errors import UserInputError
from ..runtime.checkpoint_file import CheckpointFileError, load_checkpoint_file, trusts_pickle
from ..runtime.checkpoint_weights import check_weights
from ..runtime.config_errors import named_mistakes
from ..runtime.config_places import dotted_places


def check_checkpoint_file(path: str, role: str, takes_address: bool = False) -> None:
    """Check that a local checkpoint exists.

    Args:
        path: Path or address.
        role: What names it, for the message (``'load_from'``).
        takes_address: Whether an address such as https://... will do, which is left to the loader.

    Raises:
        UserInputError: If it is no file.
    """
    if os.path.isfile(path):
        return
    if '://' in path:
        if takes_address:
            return
        raise UserInputError(
            f'{role}: {path!r} is an address: expected a file on this machine; download it and name the file'
        )
    what = 'is a folder, not a file' if os.path.isdir(path) else 'does not exist'
    raise UserInputError(
        f'{role}: the checkpoint {path!r} {what}; name a .pth file of a finished training run'
    )


def check_checkpoint_content(path: str, role: str, may_be_nested: bool = False) -> None:
    """Check that a local checkpoint can be read and holds weights, before anything is built.

    No code in it is run. Addresses such as https://... are left to the loader.

    Args:
        path: Path or address.
        role: What names it, for the message (``'load_from'``).
        may_be_nested: See :func:`check_weights`.

    Raises:
        UserInputError: If it is no file, is damaged, holds no tensors where they are looked for, or
            more than tensors and plain values.
    """
    check_checkpoint_file(path, role, takes_address=True)
    if '://' in path or trusts_pickle():
        return
    try:
        checkpoint = load_checkpoint_file(path, mmap=zipfile.is_zipfile(path))
        check_weights(checkpoint, path, may_be_nested)
    except CheckpointFileError as error:
        raise UserInputError(f'{role}: {error}') from error


def check_initial_weights(config: Config) -> None:
    """Check every checkpoint that the config starts from.

    That is ``load_from`` and, in the model, each ``pretrained`` and each Pretrained ``init_cfg``.

    Raises:
        UserInputError: If one of them is a local path without a file, or a file that is not read.
    """
    if config.get('load_from') is not None:
        check_checkpoint_content(config.load_from, 'load_from')
    for key, node in dotted_places(config.get('model'), 'model'):
        if key.endswith('.pretrained') and isinstance(node, str):
            check_checkpoint_content(node, key, may_be_nested=True)
        elif isinstance(node, Mapping) and node.get('type') == 'Pretrained':
            path = node.get('checkpoint')
            if isinstance(path, str):
                check_checkpoint_content(path, f'{key}.checkpoint', may_be_nested=True)


def check_data_roots(config: Config, loaders: Sequence[str]) -> None:
    """Check folders, lists and that there are images at all, before anything is built.

    Args:
        config: Config.
        loaders: Keys of the data loaders, for example ``('train_dataloader', 'val_dataloader')``.

    Raises:
        UserInputError: If one is missing or empty; the message starts with the dataset's key in the config.
    """
    init_default_scope(config.get('default_scope', 'mmseg'))
    for loader in loaders:
        dataset = (config.get(loader) or {}).get('dataset')
        for key, node in dataset_configs(dataset, f'{loader}.dataset'):
            try:
                with named_mistakes(config):
                    build_dataset({**node, 'pipeline': []})
            except DatasetCheckError as error:
                raise UserInputError(f'{key}: {error}') from error


def dataset_configs(node: Any, key: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield the configs of the datasets that read files, inside whatever wraps them.

    Args:
        node: Config of a dataset or wrapper.
        key: Its dotted key in the config.
    """
    if isinstance(node, Mapping):
        if 'data_prefix' in node or 'data_root' in node:
            yield key, node
            return
        for name, child in node.items():
            if name != 'pipeline':
                yield from dataset_configs(child, f'{key}.{name}')
    elif isinstance(node, list | tuple):
        for index, child in enumerate(node):
            yield from dataset_configs(child, f'{key}.{index}')
