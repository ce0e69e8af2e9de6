"""Start-up check of shared memory: whether the batches that wait in it will fit."""

from __future__ import annotations

import io
import mmap
import os
import pickle
import shutil
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmseg.registry import DATASETS

from ..errors import UserInputError
from ..runtime.random_state import seeded
from ..runtime.ranks import launcher_of_command, process_of
from ..runtime.run_errors import SHARED_MEMORY
from .training_draws import training_dataset, training_draws

#: Batches that a data worker of torch's ``DataLoader`` prepares ahead, unless the config says otherwise.
_PREFETCH_FACTOR = 2
#: What a container gets beyond the need, in the advice: the need is that of one sample.
_ADVISED_RATIO = 2


class _TensorCounter(pickle.Pickler):
    """Counts the bytes that tensors take in shared memory when a worker sends what holds them."""

    def __init__(self) -> None:
        super().__init__(io.BytesIO())
        self.sizes: dict[int, int] = {}

    def reducer_override(self, value: Any) -> Any:
        if not isinstance(value, torch.Tensor):
            return NotImplemented
        storage = value.untyped_storage()
        pages = -(-storage.nbytes() // mmap.PAGESIZE)  # each storage is a file of whole pages
        self.sizes[storage.data_ptr()] = pages * mmap.PAGESIZE
        return bool, ()


def shared_bytes(sample: Any) -> int:
    """Count the bytes of shared memory that a sample takes on its way from a data worker.

    That is whole pages for every tensor, in whatever containers; arrays go another way.
    """
    counter = _TensorCounter()
    counter.dump(sample)
    return sum(counter.sizes.values())


def check_shared_memory(config: Config, loaders: Sequence[str]) -> None:
    """Check that the batches in flight fit into shared memory; too small a one makes a run hang.

    Each worker keeps ``prefetch_factor`` batches ready, and one more is in use. One sample of each
    loader is read to know their size. A sample that cannot be read is left to the check of all files.
    The first process of a node speaks for all of them.

    Args:
        config: Config.
        loaders: Keys of the data loaders that are alive at the same time.

    Raises:
        UserInputError: If they do not fit.
    """
    process = process_of(launcher_of_command())
    if process.local_rank != 0 or not os.path.isdir(SHARED_MEMORY):
        return
    needs = []
    for key in loaders:
        loader = config.get(key) or {}
        workers = loader.get('num_workers') or 0
        if workers < 1 or not loader.get('dataset'):
            continue
        batch = (loader.get('batch_size') or 1) * _sample_bytes(config, key)
        prefetch = loader.get('prefetch_factor') or _PREFETCH_FACTOR
        text = f'{key} ({workers} workers x {prefetch} batches of {batch / 1e6:.1f} MB)'
        needs.append((text, (workers * prefetch + 1) * batch * process.local_world_size))
    need, free = sum(size for _, size in needs), shutil.disk_usage(SHARED_MEMORY).free
    if need <= free:
        return
    who = ' and '.join(text for text, _ in needs)
    processes = f' in {process.local_world_size} processes' if process.local_world_size > 1 else ''
    advised = max(1, -(-_ADVISED_RATIO * need // 10**9))
    raise UserInputError(
        f'{who} will hold {need / 1e6:.0f} MB in {SHARED_MEMORY}{processes}, where {free / 1e6:.0f} MB '
        f'are free: expected room for all batches, else the run hangs; give the container more (docker '
        f'run --shm-size={advised}g) or lower {needs[0][0].partition(" ")[0]}.num_workers'
    )


def _sample_bytes(config: Config, key: str) -> int:
    """Shared memory of the first sample of a loader; 0 if it cannot be read."""
    try:
        if key == 'train_dataloader':
            dataset = training_dataset(config)
            return shared_bytes([sample for _, sample in training_draws(config, dataset, [0])])
        init_default_scope(config.get('default_scope', 'mmseg'))
        with seeded(np.random.SeedSequence(0)):
            return shared_bytes(DATASETS.build(config[key].dataset)[0])
    except Exception:  # of the data: the check of all files names it, and says what fixes it
        return 0
