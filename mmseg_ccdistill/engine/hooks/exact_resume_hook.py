"""Hook that makes a resumed run take the same steps as an uninterrupted one."""

from __future__ import annotations

import logging
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.dist import get_rank
from mmengine.hooks import Hook
from mmengine.logging import print_log
from mmengine.runner import IterBasedTrainLoop, Runner
from mmengine.runner.loops import _InfiniteDataloaderIterator
from mmseg.registry import HOOKS

from ...datasets.draw import STEP_STREAM
from ...runtime.checkpoint_file import CheckpointFileError
from ...runtime.random_state import seed_generators
from ...runtime.resume import agreed_choice, newest_good_checkpoint
from ...runtime.resume_settings import settle_settings
from ...runtime.run_log import warn
from ...runtime.run_setup import SETUP_KEY, batch_change, run_setup
from ...runtime.schedule_end import check_schedule_end
from ...runtime.train_batches import PositionedBatches


@HOOKS.register_module()
class ExactResumeHook(Hook):
    """Choose the checkpoint to resume from, skip to its draw, and seed every step by its number.

    - Resuming takes the newest checkpoint of the work dir that verifies, and says which it skipped.
      A ``load_from`` inside the work dir is the user's choice and is kept.
    - A sampler with ``skip`` (``DrawSampler``, and mmengine's ``InfiniteSampler`` in the maintained
      fork) is set to the first sample that was not trained on; no skipped sample is loaded.
    - Before each step the generators of ``random``, numpy and torch (CPU, CUDA) are seeded with
      (seed, iteration, rank): dropout needs no saved state. No generator is read, and the device is
      not waited for.
    - Optimizer and schedule settings of the config count, not those of the checkpoint; what has
      changed is said in one line, and what cannot go on is refused (:func:`settle_settings`).
    - A run that is made longer than its schedule, one that is finished, and one with another number
      of processes or samples are told so.
    """

    priority = 'VERY_HIGH'

    def __init__(self) -> None:
        self._seed: int | None = None

    def before_run(self, runner: Runner) -> None:
        """Choose the checkpoint, before the runner loads one.

        Raises:
            CheckpointFileError: On every process, if the work dir holds checkpoints and none is
                whole.
        """
        self._seed = runner.seed
        if not runner._resume or _lies_in(runner._load_from, runner.work_dir):
            return
        choice = agreed_choice(partial(newest_good_checkpoint, runner.work_dir))
        if choice.checkpoint is not None:
            runner._load_from = str(choice.checkpoint)
            level = logging.WARNING if choice.skipped else logging.INFO
            print_log(choice.describe(), logger='current', level=level)
        elif choice.skipped:
            raise CheckpointFileError(f'nothing to resume from: {choice.describe()}')

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict[str, Any]) -> None:
        """Note how the run is set up."""
        checkpoint.setdefault('meta', {})[SETUP_KEY] = run_setup(runner)

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict[str, Any]) -> None:
        """Let the settings of the config count where a run is resumed.

        Raises:
            ValueError: If its state does not go with the configured settings, or the run was made
                longer than a schedule that ends at zero.
        """
        if not runner._resume or not hasattr(runner.optim_wrapper, 'param_groups'):
            return
        meta = checkpoint.get('meta') or {}
        iteration = meta.get('iter', 0)
        if iteration < runner.max_iters:
            known = (checkpoint.get('message_hub') or {}).get('runtime_info') or {}
            check_schedule_end(runner, known.get('max_iters'))
        changes = settle_settings(runner, checkpoint)
        if changes:
            warn(
                f'resuming at iteration {iteration}: the settings of this run count, not those of the '
                f'checkpoint: {"; ".join(changes)}'
            )
        note = batch_change(meta.get(SETUP_KEY) or {}, run_setup(runner), iteration)
        if note is not None:
            warn(note)

    def before_train(self, runner: Runner) -> None:
        """Set the sampler to the first sample that was not trained on; say if nothing is left to do."""
        loop = runner.train_loop
        if 0 < runner.max_iters <= runner.iter:
            warn(
                f'this run is finished: {runner.iter} iterations are done, train_cfg asks for '
                f'{runner.max_iters}, so nothing is trained; to train on, raise train_cfg.max_iters '
                'and the end of param_scheduler'
            )
        if runner.iter == 0 or not isinstance(loop, IterBasedTrainLoop):
            return
        loader = loop.dataloader
        sampler, batch_size = _sampler(loader)
        if not hasattr(sampler, 'skip') or batch_size is None:
            return
        if runner.seed != self._seed and getattr(sampler, 'seed', None) == self._seed:
            sampler.seed = runner.seed  # mmengine has taken the seed over from the checkpoint
        sampler.skip(runner.iter * batch_size)
        if not hasattr(loop.dataloader_iterator, 'skip_iter'):
            loop.dataloader_iterator = PositionedBatches(
                _InfiniteDataloaderIterator(loader), runner.iter
            )

    def before_train_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None) -> None:
        """Seed the step."""
        key = (STEP_STREAM, runner.iter, get_rank())
        seed_generators(np.random.SeedSequence(runner.seed, spawn_key=key))
        if torch.cuda.is_available():
            torch.cuda.manual_seed_all(torch.initial_seed())


def _lies_in(path: str | None, folder: str) -> bool:
    """Whether a path names a file in a folder."""
    return path is not None and Path(path).resolve().parent == Path(folder).resolve()


def _sampler(loader: Any) -> tuple[Any, int | None]:
    """The sampler of a loader that decides the order, and its samples per batch."""
    if loader.batch_size is not None:
        return loader.sampler, loader.batch_size
    batches = loader.batch_sampler
    return getattr(batches, 'sampler', None), getattr(batches, 'batch_size', None)
