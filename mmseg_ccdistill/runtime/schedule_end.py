"""Does a run that was made longer train on after its learning rate has ended?"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..errors import UserInputError
from .run_log import warn
from .run_setup import by_name
from .schedule_replay import replay_schedules

# Share of the initial rate below which nothing is learnt: cosine schedules end near zero, not at it.
_ZERO = 1e-9


def check_schedule_end(runner: Any, saved_max_iters: int | None) -> None:
    """Compare the end of the learning-rate schedule with that of a run that was made longer.

    Args:
        runner: The runner that is about to resume, with fresh optimizer and schedulers.
        saved_max_iters: Iterations that the run was to have when the checkpoint was written. Where the run has not
            been made longer, or this is not known, nothing is checked.

    Raises:
        UserInputError: If the schedule ends at zero before the run does. If it ends above zero but below the initial
            rate, a warning says so.
    """
    max_iters = runner.max_iters
    if saved_max_iters is None or max_iters <= saved_max_iters:
        return
    wrappers, schedulers = by_name(runner.optim_wrapper), by_name(runner.param_schedulers or [])
    for name, wrapper in wrappers.items():
        parts = list(schedulers.get(name) or [])
        ends = {i: s.end for i, s in enumerate(parts) if s.param_name == 'lr' and not s.by_epoch}
        if not ends or any(s.by_epoch for s in parts) or max(ends.values()) >= max_iters:
            continue
        last = max(ends, key=lambda index: ends[index])
        groups = replay_schedules(parts, wrapper.param_groups, ends[last]).groups
        rate = max(float(group['lr']) for group in groups)
        initial = max(float(group['initial_lr']) for group in groups)
        key = f'{_key(runner.cfg.get("param_scheduler"), name, last)}.end'
        advice = f'--cfg-options train_cfg.max_iters={max_iters} {key}={max_iters}'
        if rate <= _ZERO * initial:
            raise UserInputError(
                f'train_cfg.max_iters is {max_iters}, but {key} is {ends[last]}, where the learning rate ends at 0: '
                f'iterations {ends[last] + 1} to {max_iters} would train nothing; move the end of the schedule, too: '
                f'{advice}'
            )
        if rate < initial:
            warn(
                f'train_cfg.max_iters is {max_iters}, but {key} is {ends[last]}: the iterations after it keep its '
                f'last learning rate, {rate:.6g}; to move the end of the schedule, too: {advice}'
            )


def _key(config: Any, name: str, index: int) -> str:
    """The config's key of a schedule."""
    key = 'param_scheduler'
    if isinstance(config, Mapping) and name in config:  # one entry per optimizer
        key, config = f'{key}.{name}', config[name]
    return key if isinstance(config, Mapping) else f'{key}.{index}'
