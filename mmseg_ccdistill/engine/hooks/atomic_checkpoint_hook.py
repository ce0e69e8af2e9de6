"""Hook that saves checkpoints so that no interruption costs more than the latest interval."""

from __future__ import annotations

import copy
import inspect
import math
from collections import deque
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from mmengine.dist import broadcast, broadcast_object_list, is_main_process
from mmengine.hooks import CheckpointHook
from mmengine.logging import print_log
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner
from mmseg.registry import HOOKS

from ...errors import RunError
from ...runtime.atomic_file import remove_unfinished, write_atomically
from ...runtime.checkpoint_file import OWN_KEY, CheckpointFileError
from ...runtime.checkpoint_io import ATOMIC_BACKEND, AtomicBackend
from ...runtime.checkpoint_values import restore_log, to_plain
from ...runtime.resume import POINTER
from ...runtime.run_errors import resume_command
from ...runtime.run_log import warn
from ...runtime.tied_tensors import tie_tensors
from ...version import __version__

# What CheckpointHook notes in the message hub, and takes from there on resuming.
_NOTES = ('best_', 'keep_ckpt_ids', 'last_ckpt')
_BEST_PATHS = ('best_ckpt_path', 'best_ckpt_path_dict')
# A full disk, a failing one, or a file that reads back differently.
_WRITE_ERRORS = (OSError, CheckpointFileError)


class _DeferringBackend(AtomicBackend):
    """Notes which files are to be deleted instead of deleting them."""

    def __init__(self) -> None:
        super().__init__()
        self.removals: list[str] = []

    def remove(self, filepath: str | Path) -> None:
        """Note a file."""
        self.removals.append(str(filepath))


@HOOKS.register_module()
class AtomicCheckpointHook(CheckpointHook):
    """mmengine's ``CheckpointHook`` with atomic writes, late deletion and plain content.

    A checkpoint is written beside its place, flushed, synchronised, read back, verified and then
    renamed; the file ``last_checkpoint`` follows in the same way; the oldest checkpoint is deleted
    last. So there is a whole checkpoint at every moment after the first. Where a write fails (a full
    disk), the old files and their bookkeeping stay, a warning says so, and the next interval tries
    again; if the last write of a run fails, the run ends with an error. Checkpoints hold tensors and
    plain Python values only, and load with ``weights_only=True``.

    Buffers (BatchNorm statistics) differ between processes, and a file holds those of the first: all
    processes take them over when a checkpoint is written, as they will on resuming.

    Args:
        **kwargs: Those of ``CheckpointHook``: ``interval``, ``by_epoch``, ``max_keep_ckpts``,
            ``save_best``, … With a remote ``out_dir`` or ``backend_args`` the files are written by
            that backend.

    Raises:
        TypeError: If there is no such setting. mmengine's hook takes any, and fails when it first saves.
    """

    args: dict[str, Any]
    backend_args: Any
    file_backend: Any

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        taken = inspect.signature(Runner.save_checkpoint).parameters
        for name in self.args:  # what the base hook passes on when it saves
            if name not in taken:
                kind = type(self).__name__
                raise TypeError(f'{kind}.__init__() got an unexpected keyword argument {name!r}')
        self.failure: str | None = None  # why the latest checkpoint is in no file
        self._is_saving_best = False

    def before_train(self, runner: Runner) -> None:
        """Choose the backend and clear away what an interrupted write left."""
        folder = str(self.out_dir or runner.work_dir)
        if '://' not in folder and self.backend_args is None and self.file_client_args is None:
            self.backend_args = dict(backend=ATOMIC_BACKEND)
        super().before_train(runner)
        if is_main_process():
            for folder in {str(self.out_dir), runner.work_dir}:
                for leftover in remove_unfinished(folder) if '://' not in folder else ():
                    print_log(f'Removed {leftover}, left by an interrupted write', 'current')

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict[str, Any]) -> None:
        """Convert what is saved to tensors and plain values, and mark it as of this package."""
        # Hooks before this one may have written to the hub; mmengine copied it before it asked them.
        plain = to_plain({**checkpoint, 'message_hub': runner.message_hub.state_dict()})
        model = runner.model.module if is_model_wrapper(runner.model) else runner.model
        tie_tensors(plain.get('state_dict', {}), model.state_dict())
        plain['meta'] = {**plain.get('meta', {}), OWN_KEY: __version__}
        checkpoint.clear()
        checkpoint.update(plain)

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict[str, Any]) -> None:
        """Give mmengine its objects back."""
        if isinstance(checkpoint.get('message_hub'), dict):
            restore_log(checkpoint['message_hub'])

    def after_train(self, runner: Runner) -> None:
        """Publish, and stop with an error if the state of the end is in no file.

        Raises:
            RunError: If the latest checkpoint could not be written.
        """
        super().after_train(runner)
        if self.failure is not None:
            raise RunError(
                f'the training is over but its last checkpoint was not written ({self.failure}); '
                f'make room, then continue with: {resume_command()}'
            )

    def _save_checkpoint_with_step(self, runner: Runner, step: int, meta: dict) -> None:
        """Save, point to the file, then delete the oldest: the order that mmengine reverses.

        The file lists itself and every checkpoint that lies beside it, also those about to be
        deleted: if the run dies before that, ``CheckpointHook`` deletes them on resuming.
        """
        if (
            self._is_saving_best
        ):  # this class saves afterwards, when the best file is known to be good
            return
        name = self.filename_tmpl.format(step)
        path = self.file_backend.join_path(self.out_dir, name)
        kept = [*(i for i in getattr(self, 'keep_ckpt_ids', ()) if i != step), step]
        notes = _notes(runner)
        if self.max_keep_ckpts > 0:
            runner.message_hub.update_info('keep_ckpt_ids', kept)
        runner.message_hub.update_info('last_ckpt', path)
        for buffer in runner.model.buffers():
            broadcast(buffer)
        error: Exception | None = None
        try:
            runner.save_checkpoint(
                self.out_dir,
                name,
                self.file_client_args,
                save_optimizer=self.save_optimizer,
                save_param_scheduler=self.save_param_scheduler,
                meta=meta,
                by_epoch=self.by_epoch,
                backend_args=self.backend_args,
                **self.args,
            )
        except _WRITE_ERRORS as raised:
            error = raised
        self.failure = _reason_on_all_ranks(error)
        if self.failure is not None:
            _set_notes(runner, notes)
            self._warn_of_failure(name, self.failure)
            return
        self.last_ckpt = path
        self._point_to(runner, path)
        self._delete_oldest(runner, kept)

    def _point_to(self, runner: Runner, path: str) -> None:
        """Write the name of the latest checkpoint; resuming finds the file without it, too."""
        if not is_main_process():
            return
        try:
            write_atomically(Path(runner.work_dir, POINTER), path.encode())
        except OSError as error:
            warn(f'{POINTER} in {runner.work_dir} still names the checkpoint before: {error}')

    def _delete_oldest(self, runner: Runner, kept: list[int]) -> None:
        """Delete checkpoints until ``max_keep_ckpts`` are left; the one just written is among them."""
        if self.max_keep_ckpts <= 0:
            return
        surplus, kept = kept[: -self.max_keep_ckpts], kept[-self.max_keep_ckpts :]
        self._delete(
            self.file_backend.join_path(self.out_dir, self.filename_tmpl.format(step))
            for step in surplus
        )
        self.keep_ckpt_ids = deque(kept, self.max_keep_ckpts)
        runner.message_hub.update_info('keep_ckpt_ids', kept)

    def _delete(self, paths: Iterable[str]) -> None:
        """Delete files; one that cannot be deleted stays, with a warning."""
        for path in paths if is_main_process() else ():
            try:
                if self.file_backend.isfile(path):
                    self.file_backend.remove(path)
            except OSError as error:
                warn(f'{path} cannot be deleted: {error}')

    def _save_best_checkpoint(self, runner: Runner, metrics: dict) -> None:
        """Save the best checkpoint as mmengine does, but delete the one before afterwards."""
        bad = [k for k, v in metrics.items() if isinstance(v, float) and not math.isfinite(v)]
        if self.save_best and bad:
            warn(
                f'{", ".join(bad)} not finite at iteration {runner.iter}: not counted for the best'
            )
            metrics = {**metrics, **dict.fromkeys(bad)}  # mmengine passes over None
        if not self.save_best or not isinstance(self.file_backend, AtomicBackend):
            super()._save_best_checkpoint(runner, metrics)
            return
        notes = _notes(runner)
        own = {key: copy.copy(getattr(self, key)) for key in _BEST_PATHS if hasattr(self, key)}
        backend, deferring = self.file_backend, _DeferringBackend()
        self.file_backend, self._is_saving_best = deferring, True
        error: Exception | None = None
        try:
            super()._save_best_checkpoint(runner, metrics)
        except _WRITE_ERRORS as raised:
            error = raised
        finally:
            self.file_backend, self._is_saving_best = backend, False
        reason = _reason_on_all_ranks(error)
        if reason is not None:
            _set_notes(runner, notes)
            for key, value in own.items():
                setattr(self, key, value)
            self._warn_of_failure('the best checkpoint', reason)
        elif _notes(runner) != notes:
            if self.last_ckpt is not None:  # so that it knows of the best one when it is resumed
                step = runner.epoch if self.by_epoch else runner.iter
                meta = dict(epoch=runner.epoch, iter=runner.iter)
                self._save_checkpoint_with_step(runner, step, meta)
            if self.failure is None:
                written = {str(value) for key, value in _notes(runner).items() if '_ckpt' in key}
                self._delete(path for path in deferring.removals if path not in written)

    def _warn_of_failure(self, name: str, reason: str) -> None:
        warn(
            f'{name} could not be written to {self.out_dir} ({reason}); '
            'the older checkpoints are kept, and the next interval tries again'
        )


def _notes(runner: Runner) -> dict[str, Any]:
    """What the message hub holds of the hook's bookkeeping."""
    info = runner.message_hub.runtime_info
    return {key: value for key, value in info.items() if key.startswith(_NOTES)}


def _set_notes(runner: Runner, notes: dict[str, Any]) -> None:
    """Put the bookkeeping back."""
    for key in _notes(runner):
        runner.message_hub.runtime_info.pop(key)
    runner.message_hub.runtime_info.update(notes)


def _reason_on_all_ranks(error: Exception | None) -> str | None:
    """Why the first process, the one that writes, could not; every process goes on alike."""
    reasons = [None if error is None else str(error) or type(error).__name__]
    broadcast_object_list(reasons)
    return reasons[0]
