"""``tools/train.py --dry-run``: everything that a run does, once, in a folder that goes afterwards.

Three iterations, told to the model as the first, the middle and the last of the run, so that terms which begin or end
on the way have their turn; then validation of two images, a checkpoint, and a second run that resumes from it for one
more iteration.
"""

from __future__ import annotations

import copy
import gc
import math
import resource
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import torch
from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmseg.registry import RUNNERS

from ..errors import RunError, UserInputError
from ..runtime.config_errors import named_mistakes
from ..runtime.resume import resume_last_checkpoint
from ..runtime.run_errors import ending_of
from .label_needs import evaluators_of

ITERATIONS = 3
#: Images of the validation.
VALIDATED = 2
_GIB = 2**30


class DryRun(NamedTuple):
    """What a dry run has found.

    Attributes:
        losses: Every loss term by name, its value at the iteration that had it last.
        places: Iterations of the whole run as which the model was told of its own.
        its_per_second: Of the second and third iteration.
        memory: The most memory that was taken, in bytes.
        device: ``'cuda'``, or ``'cpu'``, whose memory is that of the whole process.
        checkpoint: Size of a checkpoint in bytes.
        validates: Whether there was a validation.
    """

    losses: dict[str, float]
    places: tuple[int, ...]
    its_per_second: float
    memory: int
    device: str
    checkpoint: int
    validates: bool

    def describe(self) -> str:
        """The report, a line for each fact."""
        where = 'of GPU memory' if self.device == 'cuda' else 'of memory, the whole process'
        value = f', validation of {VALIDATED} images' if self.validates else ''
        return '\n'.join(
            [
                f'dry run: {ITERATIONS} iterations{value}, a checkpoint of {self.checkpoint / 1e6:.1f} MB, and one '
                'more iteration resumed from it: no fault was found',
                f'  speed   {self.its_per_second:.3g} iterations a second (of two; longer runs tell better)',
                f'  memory  {self.memory / _GIB:.2f} GiB {where}, at most',
                f'  as iterations {", ".join(map(str, self.places))} of the run:',
                *(f'  {name:<30} {value:.4g}' for name, value in self.losses.items()),
            ]
        )


class _Places(Hook):
    """Tells the model of other places in the run than its own, and keeps losses and times."""

    priority = 'VERY_LOW'  # after DeferredInfoHook, which tells the own ones

    def __init__(self, max_iters: int) -> None:
        self.max_iters = max_iters
        self.told = (1, max(max_iters // 2, 1), max_iters, max_iters)
        self.losses: dict[str, float] = {}
        self.times: list[float] = []

    def before_train_iter(self, runner: Any, batch_idx: int, data_batch: Any = None) -> None:
        model = runner.model.module if is_model_wrapper(runner.model) else runner.model
        if hasattr(model, 'set_iteration'):
            model.set_iteration(self.told[runner.iter] - 1, self.max_iters)

    def after_train_iter(
        self, runner: Any, batch_idx: int, data_batch: Any = None, outputs: Any = None
    ) -> None:
        for name, value in (outputs or {}).items():
            if 'loss' in name:
                number = float(value)
                if not math.isfinite(number):
                    raise RunError(
                        f'dry run: {name} is {number} at iteration {runner.iter + 1}: look at the inputs with '
                        'tools/analysis_tools/browse_domains.py, and check that load_from holds trained weights.'
                    )
                if number or name not in self.losses:  # a term that is off shows as 0
                    self.losses[name] = number
        self.times.append(time.monotonic())  # the values have been read: the device is done


def dry_run(config: Config) -> DryRun:
    """Go once through everything that a run does.

    Args:
        config: Of the run, checked; it is not changed. Nothing is written to its ``work_dir``.

    Returns:
        What was found.

    Raises:
        RunError: In one sentence, at whatever fails; what the package refuses by itself keeps its own.
    """
    max_iters = _length(config)
    if torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()
    with TemporaryDirectory(prefix='ccdistill-dry-run-') as folder:
        hook, whole = _Places(max_iters), Path(folder)
        with _failing_in('training, validation or saving'):
            _train(_shortened(config, whole, ITERATIONS), hook)
        checkpoint = (whole / f'iter_{ITERATIONS}.pth').stat().st_size
        with _failing_in('resuming'):
            again = _shortened(config, whole, ITERATIONS + 1)
            resume_last_checkpoint(again)
            _train(again, hook)
    seconds = hook.times[ITERATIONS - 1] - hook.times[0]
    return DryRun(
        losses=hook.losses,
        places=hook.told[:ITERATIONS],
        its_per_second=(ITERATIONS - 1) / max(seconds, 1e-9),
        memory=_peak_memory(),
        device='cuda' if torch.cuda.is_available() else 'cpu',
        checkpoint=checkpoint,
        validates=bool(config.get('val_cfg')),
    )


def _length(config: Config) -> int:
    length = config.train_cfg.get('max_iters')
    if length is None:
        raise UserInputError(
            'dry run: train_cfg has no max_iters: expected a run of iterations, type IterBasedTrainLoop; '
            'leave --dry-run out.'
        )
    return int(length)


def _shortened(config: Config, folder: Path, iterations: int) -> Config:
    """A copy that trains a few iterations in a folder and writes nowhere else."""
    config = copy.deepcopy(config)
    config.work_dir = str(folder)
    # mmengine keeps log and visualizer by name for the life of the process: each run gets its own
    config.experiment_name = f'{folder.name}_{iterations}'
    if config.get('visualizer'):
        config.visualizer.name = config.experiment_name
    config.resume = False
    config.train_cfg.max_iters = iterations
    config.default_hooks = {**config.get('default_hooks', {})}
    saving = config.default_hooks.get('checkpoint') or dict(type='AtomicCheckpointHook')
    config.default_hooks['checkpoint'] = {
        **saving, 'by_epoch': False, 'interval': ITERATIONS, 'out_dir': None, 'save_begin': 0,
    }  # fmt: skip
    if config.get('val_cfg'):
        config.train_cfg.update(val_interval=ITERATIONS, val_begin=1)
        config.val_dataloader.num_batch_per_epoch = VALIDATED
        config.val_evaluator = [
            {**metric, 'output_dir': str(folder / f'predictions_{number}')}
            if metric.get('output_dir')
            else metric
            for number, metric in enumerate(evaluators_of(config, 'val'))
        ]
    return config


def _train(config: Config, hook: Hook) -> None:
    with named_mistakes(config):
        runner = RUNNERS.build(config)
        runner.register_hook(hook, priority=hook.priority)
        runner.train()
    del runner
    gc.collect()  # the second run shall not find the memory of the first taken


@contextmanager
def _failing_in(stage: str) -> Iterator[None]:
    try:
        yield
    except Exception as error:
        if ending_of(error) is not None:
            raise
        reason = ' '.join(f'{type(error).__name__}: {error}'.split())[:300]
        raise RunError(
            f'dry run: {stage} failed ({reason}); without --dry-run the run would end there, with a traceback.'
        ) from error


def _peak_memory() -> int:
    if torch.cuda.is_available():
        return int(torch.cuda.max_memory_allocated())
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return int(most) * (1 if sys.platform == 'darwin' else 1024)
