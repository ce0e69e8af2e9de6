"""When self-training takes over from the static loss."""

from __future__ import annotations

import logging

from mmengine.logging import print_log

from ...errors import UserInputError
from ..segmentors.run_length import RunLength


class HandOver:
    """Weight of the self-training loss: 0 until ``start``, then a straight line to 1 over ``ramp``.

    At the start the night network knows nothing of the night, and its own labels would teach it that.

    Args:
        start: Iterations, or a share of the run.
        ramp: The same; 0: at once.

    Raises:
        UserInputError: If one is neither.
    """

    def __init__(self, start: int | float, ramp: int | float) -> None:
        self._start = RunLength(start, 'SelfTraining', 'start', (0.15, 100))
        self._ramp = RunLength(ramp, 'SelfTraining', 'ramp', (0.15, 100))
        self._iteration: int | None = None

    def set_iteration(self, iteration: int, max_iters: int) -> None:
        """Hear where the run is.

        Args:
            iteration: From 0 on.
            max_iters: Iterations of the whole run.
        """
        self._start.set_length(max_iters)
        self._ramp.set_length(max_iters)
        if self._iteration is None:
            self._tell_if_too_late(max_iters)
        self._iteration = iteration

    def _tell_if_too_late(self, max_iters: int) -> None:
        """Warn if a run ends before the weight is 1."""
        start, ramp = self._start.iterations, self._ramp.iterations
        have = f'start={self._start.value}'
        if start >= max_iters:
            missed, fix = 'self-training never begins', 'start as a share of the run'
            end = 'a lower number'
        elif start + ramp >= max_iters:
            have += f' and ramp={self._ramp.value}'
            missed, fix = 'L_mix never has its whole weight', 'both as shares of the run'
            end = 'lower numbers'
        else:
            return
        print_log(
            f'SelfTraining: {have}, but the run has {max_iters} iterations, so {missed}: give {fix}, e.g. 0.15, or '
            f'{end}.',
            logger='current',
            level=logging.WARNING,
        )

    @property
    def share(self) -> float:
        """The weight, from 0 to 1.

        Raises:
            UserInputError: If it depends on the iteration and nobody has said which one it is.
        """
        start, ramp = self._start.iterations, self._ramp.iterations
        if start == ramp == 0:
            return 1.0
        if self._iteration is None:
            raise UserInputError(
                f'SelfTraining: start={self._start.value} and ramp={self._ramp.value} need the number of the '
                "iteration, which nobody tells: add dict(type='DeferredInfoHook') as default_hooks.runtime_info, or "
                'set both to 0.'
            )
        passed = self._iteration - start
        if passed < 0:
            return 0.0
        return 1.0 if passed >= ramp else passed / ramp
