"""A run that waits for its data: how much of a step that is, and what to do first."""

from __future__ import annotations

import os
from typing import Any

from ccdistill.machine import usable_cores

from .config_places import dotted_places


def waiting_share(hub: Any, iterations: int) -> float | None:
    """Share of the last iterations that the run has waited for a batch.

    Args:
        hub: MMEngine's message hub, in which ``IterTimerHook`` keeps the seconds of each iteration.
        iterations: How many are looked at.

    Returns:
        From 0 to 1; None if the times are not kept.
    """
    times, waits = (hub.log_scalars.get(f'train/{name}') for name in ('time', 'data_time'))
    if times is None or waits is None:
        return None
    return float(waits.mean(iterations)) / max(float(times.mean(iterations)), 1e-9)


def next_measure(config: Any) -> str:
    """What makes the loading faster and has not been done.

    Args:
        config: Of the run. Its processes on this machine (torchrun's ``LOCAL_WORLD_SIZE``) share the cores.

    Returns:
        An order: workers up to the cores, a cache, a cache of arrays, faster storage.
    """
    processes = int(os.environ.get('LOCAL_WORLD_SIZE', 1))
    loader = config.get('train_dataloader') or {}
    workers, most = int(loader.get('num_workers', 0)), max(usable_cores() // processes, 1)
    if workers < most:
        return (
            f'set train_dataloader.num_workers={most}, one for each core that a process of the run has here; it is '
            f'{workers}'
        )
    caches = [node for _, node in dotted_places(loader) if _has_type(node, 'LoadCachedImage')]
    if not caches:
        return (
            'all cores load already: decode the images once, with tools/dataset_converters/cache.py, and read them '
            'by LoadCachedImage (docs/data.md, "A cache of decoded images")'
        )
    return (
        'all cores load already, from a cache: make it with --format raw, which decodes nothing, and keep it on a '
        'local disk that fits into RAM'
    )


def _has_type(node: Any, name: str) -> bool:
    return isinstance(node, dict) and node.get('type') == name
