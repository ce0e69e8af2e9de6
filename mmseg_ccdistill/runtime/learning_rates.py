"""Learning rates of a config at iterations of its run, computed without training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from mmengine.registry import PARAM_SCHEDULERS

from .schedule_replay import replay_schedules


def learning_rates(
    base: float, schedulers: Sequence[Mapping[str, Any]], iterations: Sequence[int]
) -> list[float]:
    """Step mmengine's own schedulers, and read the learning rate of iterations.

    Args:
        base: Learning rate of the optimizer.
        schedulers: Configs of schedulers by iteration (``by_epoch=False``); those of momentum change nothing here.
        iterations: Iterations from 0 on, each the one whose rate is asked for.

    Returns:
        The rate of each.

    Raises:
        ValueError: If a scheduler goes by epochs, whose length the data decide.
    """
    if any(scheduler.get('by_epoch', True) for scheduler in schedulers):
        raise ValueError('a schedule by epochs has rates that depend on the length of the data')
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=base, momentum=0.9)
    built = [PARAM_SCHEDULERS.build({**row, 'optimizer': optimizer}) for row in schedulers]
    return [
        float(replay_schedules(built, optimizer.param_groups, iteration).groups[0]['lr'])
        for iteration in iterations
    ]
