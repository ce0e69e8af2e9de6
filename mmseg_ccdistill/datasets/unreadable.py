"""Files that cannot be read while a run is under way: replaced in training, named anywhere else."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from mmengine.dataset import Compose

from ..runtime.random_state import get_random_state, set_random_state
from .draw import Draw
from .file_check import DatasetCheckError
from .image_facts import unreadable_reason, unreadable_sentence

# Stream of a seed that chooses replacements; ``draw`` has those before it.
_REPLACEMENT_STREAM = 3
#: Unreadable samples in a row after which no other one is tried.
MAX_IN_ROW = 10
#: Meta information of a packed sample: files that it should have shown.
REPLACED_KEY = 'replaced_files'

_FILE_KEYS = ('img_path', 'day_img_path', 'night_img_path', 'seg_map_path')


class BadSampleError(DatasetCheckError):
    """A sample that cannot be used; the message names the file, what was expected and the fix."""


def unreadable_file(info: Mapping[str, Any]) -> tuple[str, str] | None:
    """First file of a sample that cannot be read, and the reason; None if all can be read.

    ``info`` holds ``img_path``, ``seg_map_path``, and ``day_img_path`` or ``night_img_path``. Files of remote
    storage are not looked at.
    """
    for key in _FILE_KEYS:
        path = info.get(key)
        if isinstance(path, str) and '://' not in path:
            reason = unreadable_reason(path)
            if reason is not None:
                return path, reason
    return None


def replacement_sequence(index: int | Draw, part: int) -> np.random.SeedSequence:
    """Source of the random numbers that replace an unreadable sample.

    The seed and number of a draw decide, a plain index by itself. ``part`` is the position of the dataset within a
    sample: replacements of source and target are independent.
    """
    if isinstance(index, Draw):
        return np.random.SeedSequence(
            index.seed, spawn_key=(_REPLACEMENT_STREAM, index.number, part)
        )
    return np.random.SeedSequence(index, spawn_key=(_REPLACEMENT_STREAM, part))


def fetch_readable(
    dataset: Any, index: int, replacements: np.random.SeedSequence
) -> tuple[Any, list[str]]:
    """Return a sample; if a file of it cannot be read, another one in its place.

    Whatever the pipeline raises, the files of the sample decide: if one of them is unreadable, a
    sample drawn from ``replacements`` is tried; if all can be read, the sample is tried once more
    (an interruption of the storage) and a second error is raised as it is.

    Args:
        dataset: Dataset with ``get_data_info``.
        index: Number of the sample.
        replacements: Source of the random numbers that choose.

    Returns:
        The sample and the files that could not be read. The global generators go on as if the first
        sample had been readable.

    Raises:
        BadSampleError: If ``MAX_IN_ROW`` samples in a row, or all there are, cannot be read.
    """
    generator = np.random.Generator(np.random.PCG64(replacements))
    unreadable: dict[int, tuple[str, str]] = {}
    repeated = False
    before = get_random_state()
    while True:
        try:
            return dataset[index], [path for path, _ in unreadable.values()]
        except Exception:
            set_random_state(before)
            get_info = getattr(dataset, 'get_data_info', None)
            fault = unreadable_file(get_info(index)) if get_info is not None else None
            if fault is None and (repeated or get_info is None):
                raise
            repeated = fault is None
        if fault is None:
            continue
        unreadable[index] = fault
        if len(unreadable) == min(MAX_IN_ROW, len(dataset)):
            raise BadSampleError(
                f'{len(unreadable)} samples of {type(dataset).__name__} in a row cannot be read, the last one '
                f'for {fault[0]!r} ({fault[1]}): expected whole PNG or JPEG images; look whether the storage '
                'is still mounted, then continue with --resume.'
            )
        while index in unreadable:
            index = int(generator.integers(len(dataset)))


def note_replaced(sample: Any, files: list[str]) -> None:
    """Write the files that could not be read into a packed sample, for the hook that counts them.

    Of a ``CrossDomainDataset`` the first domain takes the note.
    """
    if not files or not isinstance(sample, Mapping) or not sample.get('data_samples'):
        return
    packed = sample['data_samples']
    first = next(iter(packed.values())) if isinstance(packed, Mapping) else packed
    first.set_metainfo({REPLACED_KEY: tuple(files)})


class NamingPipeline(Compose):
    """A dataset's pipeline that names the file where a file is the reason that it fails.

    Args:
        transforms: Transforms of the pipeline.
    """

    def __call__(self, data: dict) -> dict | None:
        """Run the transforms.

        Raises:
            BadSampleError: If the image or the label cannot be read.
        """
        files = {key: data.get(key) for key in _FILE_KEYS}
        try:
            return super().__call__(data)
        except Exception as error:
            fault = unreadable_file(files)
            if fault is None:
                raise
            path, reason = fault
            raise BadSampleError(unreadable_sentence(path, reason)) from error
