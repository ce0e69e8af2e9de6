"""Hook that saves and ends a run on SIGTERM, on SIGINT and when a data worker has died."""

from __future__ import annotations

import datetime
import os
import signal
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import torch
from mmengine.dist import get_world_size, is_main_process
from mmengine.hooks import CheckpointHook, Hook
from mmengine.runner import IterBasedTrainLoop, Runner
from mmseg.registry import HOOKS
from torch import distributed as torch_dist

from ...errors import UserInputError
from ..data_workers import end_workers, init_worker
from ..ranks import launcher_of_command, process_of, speaker
from ..run_errors import (
    DataWorkerError,
    StoppedBySignal,
    describe_loading_failure,
    is_loading_failure,
    lost_rank,
    resume_command,
)
from ..signal_limit import SignalLimit

_SIGNALS = (signal.SIGINT, signal.SIGTERM)
# A dead data worker, beside the numbers of the signals above; the largest request wins.
_DEAD_WORKER = 1
# Ctrl-C reaches a process twice where torchrun forwards what the terminal has sent already; a
# scheduler may signal a job and each of its processes. Only a later signal is the user's impatience.
_REPEAT_SECONDS = 3.0
# An iteration that takes that many times the longest one so far is not going to end.
_HANG_RATIO = 3.0


class _GuardedBatches:
    """The batches of the train loop; a failing data worker is reported before it ends the run."""

    def __init__(self, batches: Any, on_failure: Callable[[BaseException], None]) -> None:
        self.batches = batches
        self.on_failure = on_failure

    def __next__(self) -> Any:
        try:
            return next(self.batches)
        except RuntimeError as error:
            self.on_failure(error)
            raise

    def __getattr__(self, name: str) -> Any:
        return getattr(self.batches, name)  # skip_iter of the train loop


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
    # mmengine calls no hook where an error ends a run, so the next run takes the handlers back.
    _installed: ClassVar[SafeStopHook | None] = None

    def __init__(self, rank_timeout: float = 600.0, stop_timeout: float = 20.0) -> None:
        for name, value in (('rank_timeout', rank_timeout), ('stop_timeout', stop_timeout)):
            if value <= 0:
                raise UserInputError(f'SafeStopHook: {name} must be positive, got {value}.')
        self.rank_timeout = rank_timeout
        self.stop_timeout = stop_timeout
        self._limit: SignalLimit | None = None
        self._began = self._longest = 0.0  # seconds: when the iteration began, the longest one
        self._request = 0
        self._first_signal = 0.0
        self._dead_worker = ''
        self._previous: dict[int, Any] = {}
        self._group: Any = None
        self._pid = os.getpid()
        self._is_active = self._is_validating = False
        self._common_batches = 0

    def before_train(self, runner: Runner) -> None:
        """Install the handlers.

        Args:
            runner: The runner.
        """
        if threading.current_thread() is not threading.main_thread():
            return
        if SafeStopHook._installed is not None:
            SafeStopHook._installed._restore()
        loop = runner.train_loop
        if not isinstance(loop, IterBasedTrainLoop):
            return
        if get_world_size() > 1 and not self._open_group(runner):
            return
        self._pid, self._request, self._is_active = os.getpid(), 0, True
        SafeStopHook._installed = self
        for number in _SIGNALS:
            self._previous[number] = signal.signal(number, self._on_signal)
        self._limit = SignalLimit(_SIGNALS, self._patience, self._last_words)
        self._limit.start()
        loop.dataloader_iterator = _GuardedBatches(
            loop.dataloader_iterator, partial(self._on_failed_loading, runner)
        )
        loaders = [loop.dataloader]
        if runner.val_loop is not None:
            loaders.append(runner.val_dataloader)
        for loader in loaders:  # those whose workers have not been started yet
            loader.worker_init_fn = partial(init_worker, then=loader.worker_init_fn)

    def before_train_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None) -> None:
        """Take over the news of dead workers once the data loader has asked for it.

        Args:
            runner: The runner.
            batch_idx: Not used.
            data_batch: Not used.
        """
        self._began = time.monotonic()
        if not self._is_active or signal.SIGCHLD in self._previous:
            return
        torchs = signal.getsignal(signal.SIGCHLD)
        if callable(torchs):
            handler = partial(self._on_child, runner.train_loop.dataloader.num_workers, torchs)
            self._previous[signal.SIGCHLD] = signal.signal(signal.SIGCHLD, handler)

    def after_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: Any = None
    ) -> None:
        """Stop if one of the processes was told to.

        Args:
            runner: The runner.
            batch_idx: Not used.
            data_batch: Not used.
            outputs: Not used.

        Raises:
            StoppedBySignal: After a signal.
            DataWorkerError: After the death of a data worker.
        """
        if self._is_active:
            self._longest = max(self._longest, time.monotonic() - self._began)
            self._stop_if_requested(runner, runner.iter + 1)

    def before_val(self, runner: Runner) -> None:
        """Count the batches that every process will see.

        Args:
            runner: The runner.
        """
        self._is_validating = True
        if self._is_active:
            self._common_batches = -self._largest(-len(runner.val_dataloader))

    def after_val_iter(
        self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: Any = None
    ) -> None:
        """Stop if one of the processes was told to; the weights are those before the validation.

        Args:
            runner: The runner.
            batch_idx: Number of the batch in this process.
            data_batch: Not used.
            outputs: Not used.
        """
        if self._is_active and batch_idx < self._common_batches:
            self._stop_if_requested(runner, runner.iter)

    def after_val(self, runner: Runner) -> None:
        """Note that training goes on.

        Args:
            runner: The runner.
        """
        self._is_validating = False

    def after_train(self, runner: Runner) -> None:
        """Give the handlers back and let the data workers go.

        Args:
            runner: The runner.
        """
        if self._is_active:
            self._restore()
            end_workers(runner)

    # What arrives from outside.

    def _on_signal(self, number: int, frame: Any) -> None:
        if os.getpid() != self._pid:
            return  # a data worker: its parent decides
        if not self._request:
            self._first_signal = time.monotonic()
            if is_main_process():  # no logging here: the signal may have interrupted it
                text = (
                    f'\n{signal.Signals(number).name}: saving after this iteration, or ending without if that '
                    f'takes more than {self._patience():.0f} s; once more: ends at once\n'
                )
                os.write(2, text.encode())
        elif time.monotonic() - self._first_signal > _REPEAT_SECONDS:
            self._restore()
            os.kill(os.getpid(), number)
            return
        self._request = max(self._request, number)

    def _patience(self) -> float:
        return max(self.stop_timeout, _HANG_RATIO * self._longest)

    def _last_words(self, number: int, seconds: float) -> str:
        who = speaker(process_of(launcher_of_command()))
        return (
            f'error: {who}{signal.Signals(number).name}: the iteration has not ended within {seconds:.0f} s, '
            f'so the run ends without saving; continue from the latest checkpoint with: {resume_command()}'
        )

    def _on_child(self, num_workers: int, torchs: Callable, number: int, frame: Any) -> None:
        """Note a dead worker; torch would raise wherever the main thread happens to be."""
        if os.getpid() != self._pid:
            return
        try:
            torchs(number, frame)
        except RuntimeError as error:
            self._dead_worker = describe_loading_failure(error, num_workers)
            self._request = max(self._request, _DEAD_WORKER)
            if self._is_validating:  # the loop would wait for the worker's batch
                raise DataWorkerError(self._worker_report('')) from error

    def _on_failed_loading(self, runner: Runner, error: BaseException) -> None:
        """No batch came: save what the iteration before has left, if that takes no other process."""
        if not self._is_active or not is_loading_failure(error):
            return
        if not self._dead_worker:
            workers = runner.train_loop.dataloader.num_workers
            self._dead_worker = describe_loading_failure(error, workers)
        if self._group is None:
            self._stop(runner, self._request or _DEAD_WORKER, runner.iter)
        raise DataWorkerError(self._worker_report('')) from error

    # Agreement between processes.

    def _open_group(self, runner: Runner) -> bool:
        """Open a group of hosts; without one, signals end the run as they would without this hook."""
        timeout = datetime.timedelta(seconds=self.rank_timeout)
        try:
            self._group = torch_dist.new_group(backend='gloo', timeout=timeout)
            self._largest(0)
        except RuntimeError as error:
            self._group = None
            runner.logger.warning(
                f'the processes cannot agree over gloo ({error}), so a signal ends this run without saving: '
                'set GLOO_SOCKET_IFNAME to the network interface that joins the machines.'
            )
        return self._group is not None

    def _largest(self, number: int) -> int:
        """Largest of the processes' numbers."""
        if self._group is None:
            return number
        value = torch.tensor(number)
        try:
            torch_dist.all_reduce(value, torch_dist.ReduceOp.MAX, group=self._group)
        except RuntimeError as error:
            lost = lost_rank(error)
            if lost is None:
                raise
            raise lost from error
        return int(value)

    # The end.

    def _stop_if_requested(self, runner: Runner, done: int) -> None:
        reason = self._largest(self._request)
        if reason:
            self._stop(runner, reason, done)

    def _stop(self, runner: Runner, reason: int, done: int) -> None:
        """Save the state after ``done`` iterations and end."""
        if self._limit is not None:
            self._limit.call_off()
        saved = self._save(runner, done)
        self._largest(0)  # nobody leaves, and has torchrun end the rest, while rank 0 still writes
        self._restore()
        end_workers(runner)
        if reason == _DEAD_WORKER:
            raise DataWorkerError(self._worker_report(saved))
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

    def _worker_report(self, saved: str) -> str:
        report = self._dead_worker or 'Another process reports that one of its data workers died'
        end = f'the run ends {saved}' if saved else 'the run ends'
        return f'{report}; {end}; continue with: {resume_command()}'

    def _restore(self) -> None:
        """Give the handlers back to whom they belong."""
        for number, handler in self._previous.items():
            signal.signal(number, signal.SIG_DFL if handler is None else handler)
        self._previous.clear()
        if self._limit is not None:
            self._limit.call_off()
        self._is_active = False
        SafeStopHook._installed = None
