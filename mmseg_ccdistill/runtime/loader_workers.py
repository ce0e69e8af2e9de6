"""Data loaders without workers: what is for workers alone is left out."""

from __future__ import annotations

from mmengine.config import Config
from mmengine.logging import print_log

#: Settings of torch's ``DataLoader`` that it refuses where ``num_workers`` is 0.
_FOR_WORKERS = ('persistent_workers', 'prefetch_factor', 'timeout', 'multiprocessing_context')


def fit_loaders_to_workers(config: Config) -> None:
    """Take the settings for worker processes out of loaders that have none, and say so.

    So ``train_dataloader.num_workers=0`` alone is enough, whatever a base config sets beside it.
    """
    for name in list(config):
        loader = config[name]
        if not str(name).endswith('_dataloader') or not isinstance(loader, dict):
            continue
        if loader.get('num_workers', 0) != 0:
            continue
        dropped = [key for key in _FOR_WORKERS if loader.pop(key, None)]
        if dropped:
            print_log(
                f'{name} has no workers (num_workers=0): without {", ".join(dropped)}', 'current'
            )
