"""Hook that ends a run whose data workers give nothing, instead of letting it hang."""

from __future__ import annotations

from mmengine.hooks import Hook
from mmengine.runner import IterBasedTrainLoop, Runner
from mmseg.registry import HOOKS
from torch.utils.data import DataLoader

from ...errors import UserInputError
from ...runtime.train_batches import LimitedBatches


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
        """Limit the batches of the train loop."""
        loop = runner.train_loop
        loader = loop.dataloader
        if not isinstance(loop, IterBasedTrainLoop):
            self._limit(loader)
        elif loader.num_workers > 0:
            limit = loader.timeout or self.seconds
            loop.dataloader_iterator = LimitedBatches(loop.dataloader_iterator, loader, limit)

    def before_val(self, runner: Runner) -> None:
        """Limit the batches of the validation."""
        self._limit(runner.val_loop.dataloader)

    def before_test(self, runner: Runner) -> None:
        """Limit the batches of the test."""
        self._limit(runner.test_loop.dataloader)

    def _limit(self, loader: DataLoader) -> None:
        if loader.num_workers > 0 and not loader.timeout:
            loader.timeout = self.seconds
