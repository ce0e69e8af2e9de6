"""Hook that saves and ends a run on SIGTERM, on SIGINT and when a data worker has died."""

from __future__ import annotations

import signal
import threading
import time
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Any, ClassVar

from mmengine.dist import get_world_size
from mmengine.hooks import CheckpointHook, Hook
from mmengine.runner import IterBasedTrainLoop, Runner
from mmseg.registry import HOOKS

from ...errors import UserInputError
from ...runtime.data_workers import end_workers, init_worker
from ...runtime.dead_workers import WorkerWatch
from ...runtime.rank_consensus import RankConsensus
from ...runtime.run_errors import (
    DataWorkerError,
    StoppedBySignal,
    is_loading_failure,
    resume_command,
)
from ...runtime.stop_signals import StopSignals
from ...runtime.train_batches import GuardedBatches

# A dead data worker, beside the numbers of the signals; the largest request wins.
_DEAD_WORKER = 1
# An iteration that takes that many times the longest one so far is not going to end.
_HANG_RATIO = 3.0


def _is_in_run(frame: FrameType | None) -> bool:
    """Whether the ``run`` of a training loop is among the callers of a frame."""
    while frame is not None:
        own = frame.f_code.co_name == 'run'
        if own and isinstance(frame.f_locals.get('self'), IterBasedTrainLoop):
            return True
        frame = frame.f_back
    return False


@HOOKS.register_module()
class SafeStopHook(Hook):
    """Saves a checkpoint and ends the run when it is told to stop or a data worker has died.

    - SIGTERM and SIGINT end the run after the iteration (or, in a validation, the image) in which
      they arrive, with exit code 143 and 130. A second signal, three seconds or more after the
      first, ends it at once. If the iteration has not ended ``stop_timeout`` seconds after the
      first, the process ends without saving.
    - A data worker that dies or gives no batch ends the run in the same way with a :class:`DataWorkerError`, which
      names its signal, the free memory and the command that continues.
    - With several processes one number per iteration is agreed on over gloo, between the hosts;
      devices are not waited for. So all stop after the same iteration, whichever was told to. The
      agreement also finds a process that has ended (at once) or hangs (``rank_timeout``).

    The checkpoint is that of the runner's ``CheckpointHook``, with its ``max_keep_ckpts`` and
    ``last_checkpoint``. Works in iteration-based training; other loops keep Python's handlers.

    Args:
        rank_timeout: Seconds that one process waits for another at the end of an iteration. It must
            exceed the time of writing a checkpoint and the spread of a validation. Defaults to 600.
        stop_timeout: Seconds after a signal until an iteration counts as hanging; three times the
            longest iteration so far, if that is more. Defaults to 20: torchrun kills 30 seconds after
            its signal, and a checkpoint must be written before that.

    Raises:
        UserInputError: If ``rank_timeout`` or ``stop_timeout`` is not positive.
    """

    priority = 'LOWEST'  # after the scheduler has stepped and CheckpointHook has saved
    # mmengine calls no hook where an error ends a run: whoever started it, or the next run, gives the handlers back.
    _installed: ClassVar[SafeStopHook | None] = None

    def __init__(self, rank_timeout: float = 600.0, stop_timeout: float = 20.0) -> None:
        for name, value in (('rank_timeout', rank_timeout), ('stop_timeout', stop_timeout)):
            if value <= 0:
                raise UserInputError(f'SafeStopHook: {name} must be positive, got {value}.')
        self.rank_timeout = rank_timeout
        self.stop_timeout = stop_timeout
        self._began = self._longest = 0.0  # seconds: when the iteration began, the longest one
        self._signals = StopSignals(self._patience, _is_in_run)
        self._workers = WorkerWatch()
        self._ranks = RankConsensus(rank_timeout)
        self._is_active = False
        self._common_batches = 0

    @classmethod
    def release(cls) -> None:
        """Give the handlers back that a run which an error has ended still holds."""
        if cls._installed is not None:
            cls._installed._restore()

    def before_train(self, runner: Runner) -> None:
        """Install the handlers."""
        if threading.current_thread() is not threading.main_thread():
            return
        SafeStopHook.release()
        loop = runner.train_loop
        if not isinstance(loop, IterBasedTrainLoop):
            return
        if get_world_size() > 1 and not self._can_agree(runner):
            return
        self._is_active = True
        SafeStopHook._installed = self
        self._signals, self._workers = StopSignals(self._patience, _is_in_run), WorkerWatch()
        self._signals.install()
        loop.dataloader_iterator = GuardedBatches(
            loop.dataloader_iterator, partial(self._on_failed_loading, runner)
        )
        loaders = [loop.dataloader]
        if runner.val_loop is not None:
            loaders.append(runner.val_dataloader)
        for loader in loaders:  # those whose workers have not been started yet
            loader.worker_init_fn = partial(init_worker, then=loader.worker_init_fn)

    def before_train_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None) -> None:
        """Take over the news of dead workers once the data loader has asked for it."""
        self._began = time.monotonic()
        if self._is_active:
            self._workers.install(runner.train_loop.dataloader.num_workers)

    def after_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: Any = None
    ) -> None:
        """Stop if one of the processes was told to.

        Raises:
            StoppedBySignal: After a signal.
            DataWorkerError: After the death of a data worker.
        """
        if self._is_active:
            self._longest = max(self._longest, time.monotonic() - self._began)
            self._stop_if_requested(runner, runner.iter + 1)

    def before_val(self, runner: Runner) -> None:
        """Count the batches that every process will see."""
        self._workers.raises_at_once = True
        if self._is_active:
            self._common_batches = -self._ranks.largest(-len(runner.val_dataloader))

    def after_val_iter(
        self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: Any = None
    ) -> None:
        """Stop if one of the processes was told to; the weights are those before the validation."""
        if self._is_active and batch_idx < self._common_batches:
            self._stop_if_requested(runner, runner.iter)

    def after_val(self, runner: Runner) -> None:
        """Note that training goes on."""
        self._workers.raises_at_once = False

    def after_train(self, runner: Runner) -> None:
        """Give the handlers back and let the data workers go."""
        if self._is_active:
            self._restore()
            end_workers(runner)

    def _can_agree(self, runner: Runner) -> bool:
        """Whether the hosts reach one another; if not, signals end the run as they would without this hook."""
        try:
            self._ranks.open()
        except RuntimeError as error:
            runner.logger.warning(
                f'the processes cannot agree over gloo ({error}), so a signal ends this run without saving: '
                'set GLOO_SOCKET_IFNAME to the network interface that joins the machines.'
            )
        return not self._ranks.is_alone

    def _patience(self) -> float:
        return max(self.stop_timeout, _HANG_RATIO * self._longest)

    def _on_failed_loading(self, runner: Runner, error: BaseException) -> None:
        """No batch came: save what the iteration before has left, if that takes no other process."""
        if not self._is_active or not is_loading_failure(error):
            return
        loop: Any = runner.train_loop
        self._workers.note(error, loop.dataloader.num_workers)
        if self._ranks.is_alone:
            self._stop(runner, self._request, runner.iter)
        raise DataWorkerError(self._workers.sentence()) from error

    # The end.

    @property
    def _request(self) -> int:
        """Why this process would stop: a signal's number, a dead worker, or 0."""
        return self._signals.number or (_DEAD_WORKER if self._workers.report else 0)

    def _stop_if_requested(self, runner: Runner, done: int) -> None:
        reason = self._ranks.largest(self._request)
        if reason:
            self._stop(runner, reason, done)

    def _stop(self, runner: Runner, reason: int, done: int) -> None:
        """Save the state after ``done`` iterations and end."""
        self._signals.call_off_limit()
        saved = self._save(runner, done)
        self._ranks.largest(
            0
        )  # nobody leaves, and has torchrun end the rest, while rank 0 still writes
        self._restore()
        end_workers(runner)
        if reason == _DEAD_WORKER:
            raise DataWorkerError(self._workers.sentence(saved))
        name = signal.Signals(reason).name
        runner.logger.warning(f'{name}: the run ends {saved}; continue with: {resume_command()}')
        raise StoppedBySignal(128 + reason)

    def _save(self, runner: Runner, done: int) -> str:
        """Save through the runner's own hook, unless it has just done so; say what there is now."""
        hook: Any = next((hook for hook in runner.hooks if isinstance(hook, CheckpointHook)), None)
        if hook is None or hook.by_epoch:
            return (
                f'after iteration {done} without a checkpoint: no CheckpointHook counts iterations'
            )
        name = hook.filename_tmpl.format(done)
        if Path(str(hook.last_ckpt)).name != name:
            hook._save_checkpoint_with_step(runner, done, dict(epoch=runner.epoch, iter=done))
        failure = getattr(hook, 'failure', None)
        if failure is not None:
            return f'after iteration {done}, which could not be saved ({failure})'
        return f'after iteration {done}, saved as {hook.last_ckpt}'

    def _restore(self) -> None:
        """Give the handlers back to whom they belong."""
        self._signals.restore()
        self._workers.restore()
        self._is_active = False
        SafeStopHook._installed = None
