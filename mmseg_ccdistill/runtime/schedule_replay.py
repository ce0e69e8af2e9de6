"""Parameter schedules at an iteration that is reached without training."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any, NamedTuple


class Replay(NamedTuple):
    """Schedules and parameter groups after some iterations.

    Attributes:
        groups: Settings of each parameter group, without its parameters.
        states: State of each scheduler, as ``load_state_dict`` takes it.
    """

    groups: list[dict[str, Any]]
    states: list[dict[str, Any]]


class _Groups:
    """What a scheduler asks of an optimizer that has taken its steps."""

    _global_step = 0

    def __init__(self, groups: list[dict[str, Any]]) -> None:
        self.param_groups = groups

    def step(self) -> None:
        """Take no step."""

    step._with_counter = True  # type: ignore[attr-defined]  # else a scheduler warns of the order


def replay_schedules(
    schedulers: Sequence[Any],
    groups: Sequence[dict[str, Any]],
    iterations: int,
    epochs: int = 0,
    epoch_length: int = 0,
) -> Replay:
    """Step copies of fresh schedulers as mmengine's ``ParamSchedulerHook`` does in training.

    mmengine's schedulers are recursive: a value follows from the value before. So the steps are taken one by one, and
    the result is that of an uninterrupted run to the last bit.

    Args:
        schedulers: mmengine schedulers that have taken no step since they were built.
        groups: Parameter groups that they have been built with; they are not changed.
        iterations: Iterations to replay.
        epochs: Epochs that ended within them, for schedules by epoch. Defaults to 0.
        epoch_length: Iterations of an epoch. Defaults to 0.

    Returns:
        The groups and the schedulers' states after the iterations.
    """
    seen = _Groups([{k: v for k, v in group.items() if k != 'params'} for group in groups])
    copies = [copy.copy(scheduler) for scheduler in schedulers]
    for scheduler in copies:
        scheduler.optimizer, scheduler.verbose = seen, False
    ended = 0
    for done in range(1, iterations + 1):
        for scheduler in copies:
            if not scheduler.by_epoch:
                scheduler.step()
        if ended < epochs and epoch_length and done % epoch_length == 0:
            ended += 1
            _step_epoch(copies)
    for _ in range(epochs - ended):  # the data set had another length
        _step_epoch(copies)
    for scheduler, original in zip(copies, schedulers, strict=True):
        scheduler.verbose = getattr(original, 'verbose', False)
    return Replay(seen.param_groups, [scheduler.state_dict() for scheduler in copies])


def _step_epoch(schedulers: Sequence[Any]) -> None:
    for scheduler in schedulers:
        if scheduler.by_epoch:
            scheduler.step()
