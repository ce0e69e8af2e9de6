"""Hook that ends a run whose data workers give nothing, instead of letting it hang."""

from __future__ import annotations

import time
from typing import Any

from mmengine.hooks import Hook
from mmengine.runner import IterBasedTrainLoop, Runner
from mmseg.registry import HOOKS
from torch.utils.data import DataLoader

from ...errors import UserInputError
from ..run_errors import is_loading_timeout

# Seconds after which torch looks whether a worker has died (MP_STATUS_CHECK_INTERVAL): with a longer
# timeout of its own it would find a dead worker that late.
_POLL_SECONDS = 5.0


class _LimitedBatches:
    """The batches of the train loop, each within a time limit."""

    def __init__(self, batches: Any, loader: DataLoader, limit: float) -> None:
        self.batches = batches
        self.loader = loader
        self.limit = limit
        self._is_polled = False

    def __next__(self) -> Any:
        if not self._is_polled:
            self._poll()
        begin = time.monotonic()
        while True:
            try:
                return next(self.batches)
            except RuntimeError as error:
                if not is_loading_timeout(error):
                    raise
                if time.monotonic() - begin >= self.limit:
                    raise RuntimeError(
                        f'DataLoader timed out after {self.limit:g} seconds'
                    ) from error

    def __getattr__(self, name: str) -> Any:
        return getattr(self.batches, name)  # skip_iter of the train loop

    def _poll(self) -> None:
        """Have torch come back at intervals; not earlier, because skipped batches have no limit."""
        self._is_polled = True
        self.loader.timeout = min(_POLL_SECONDS, self.limit)
        started = getattr(self.batches, '_iterator', None)  # the upstream stack starts it at once
        if started is not None:
            started._timeout = self.loader.timeout


@HOOKS.register_module()
class LoadingLimitHook(Hook):
    """Ends a run when its data workers have given no batch for a while.

    Workers that have run out of shared memory, or wait for storage that does not answer, say nothing:
    the run would wait for ever. With this hook it ends like one whose worker has died, see
    :class:`SafeStopHook`: saved where that is possible, with one sentence. Loaders without workers
    read in the process itself and have no limit.

    Args:
        seconds: Time limit for one batch of any loader that has no ``timeout`` of its own in the
            config. Defaults to 300: far beyond the slowest read, and below the time after which other
            processes give up (``SafeStopHook.rank_timeout``), so that the cause is named.

    Raises:
        UserInputError: If ``seconds`` is not positive.
    """

    priority = 'VERY_LOW'  # before SafeStopHook, which reports what is raised here

    def __init__(self, seconds: float = 300.0) -> None:
        if seconds <= 0:
            raise UserInputError(f'LoadingLimitHook: seconds must be positive, got {seconds}.')
        self.seconds = seconds

    def before_train(self, runner: Runner) -> None:
        """Limit the batches of the train loop.

        Args:
            runner: The runner.
        """
        loop = runner.train_loop
        loader = loop.dataloader
        if not isinstance(loop, IterBasedTrainLoop):
            self._limit(loader)
        elif loader.num_workers > 0:
            limit = loader.timeout or self.seconds
            loop.dataloader_iterator = _LimitedBatches(loop.dataloader_iterator, loader, limit)

    def before_val(self, runner: Runner) -> None:
        """Limit the batches of the validation.

        Args:
            runner: The runner.
        """
        self._limit(runner.val_loop.dataloader)

    def before_test(self, runner: Runner) -> None:
        """Limit the batches of the test.

        Args:
            runner: The runner.
        """
        self._limit(runner.test_loop.dataloader)

    def _limit(self, loader: DataLoader) -> None:
        if loader.num_workers > 0 and not loader.timeout:
            loader.timeout = self.seconds
