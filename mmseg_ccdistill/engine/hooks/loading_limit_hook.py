"""Hook that ends a run whose data workers give nothing, and warns of one that waits for them too long."""

from __future__ import annotations

from typing import Any

from mmengine.hooks import Hook
from mmengine.runner import IterBasedTrainLoop, Runner
from mmseg.registry import HOOKS
from torch.utils.data import DataLoader

from ...errors import UserInputError
from ...runtime.data_wait import next_measure, waiting_share
from ...runtime.train_batches import LimitedBatches


@HOOKS.register_module()
class LoadingLimitHook(Hook):
    """Ends a run when its data workers have given no batch for a while.

    Workers that have run out of shared memory, or wait for storage that does not answer, say nothing:
    the run would wait for ever. With this hook it ends like one whose worker has died, see
    :class:`SafeStopHook`: saved where that is possible, with one sentence. Loaders without workers
    read in the process itself and have no limit.

    A run that gets its batches, but waits for them too long, is told once what to do. The first interval, in which
    workers start and files are read for the first time, does not count.

    Args:
        seconds: Time limit for one batch of any loader that has no ``timeout`` of its own in the
            config. Defaults to 300: far beyond the slowest read, and below the time after which other
            processes give up (``SafeStopHook.rank_timeout``), so that the cause is named.
        wait_share: Share of a training step, averaged over ``interval`` steps, above which the log warns. Defaults
            to 0.3.
        interval: Iterations between two looks. Defaults to 50.

    Raises:
        UserInputError: If ``seconds`` or ``interval`` is not positive, or ``wait_share`` no share.
    """

    priority = 'VERY_LOW'  # before SafeStopHook, which reports what is raised here

    def __init__(self, seconds: float = 300.0, wait_share: float = 0.3, interval: int = 50) -> None:
        for name, value in (('seconds', seconds), ('interval', interval)):
            if value <= 0:
                raise UserInputError(f'LoadingLimitHook: {name} must be positive, got {value}.')
        if not 0 < wait_share <= 1:
            raise UserInputError(
                f'LoadingLimitHook: wait_share must be above 0 and at most 1, got {wait_share}.'
            )
        self.seconds = seconds
        self.wait_share = wait_share
        self.interval = interval
        self._looks_after = 0

    def before_train(self, runner: Runner) -> None:
        """Limit the batches of the train loop."""
        self._looks_after = runner.iter + self.interval
        loop = runner.train_loop
        loader = loop.dataloader
        if not isinstance(loop, IterBasedTrainLoop):
            self._limit(loader)
        elif loader.num_workers > 0:
            limit = loader.timeout or self.seconds
            loop.dataloader_iterator = LimitedBatches(loop.dataloader_iterator, loader, limit)

    def after_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: Any = None
    ) -> None:
        """Warn once if the run waits for data."""
        done = runner.iter + 1
        if done <= self._looks_after or done % self.interval:
            return
        share = waiting_share(runner.message_hub, self.interval)
        if share is not None and share > self.wait_share:
            self._looks_after = runner.max_iters  # said once
            runner.logger.warning(
                f'{100 * share:.0f} % of the last {self.interval} steps were waiting for data: '
                f'{next_measure(runner.cfg)}.'
            )

    def before_val(self, runner: Runner) -> None:
        """Limit the batches of the validation."""
        self._limit(runner.val_loop.dataloader)

    def before_test(self, runner: Runner) -> None:
        """Limit the batches of the test."""
        self._limit(runner.test_loop.dataloader)

    def _limit(self, loader: DataLoader) -> None:
        if loader.num_workers > 0 and not loader.timeout:
            loader.timeout = self.seconds
