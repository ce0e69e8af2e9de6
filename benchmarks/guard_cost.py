"""Time inside the guards of a run, as a share of the time of its iterations.

Trains CCDistill on mini night with every hook of the shipped configuration, on one thread, and measures the seconds
that the guards take before, in and after an iteration. The first iterations are left out.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from typing import Any
from unittest import mock

import torch
from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.runner import Runner

from benchmarks.stages import ROOT
from mmseg_ccdistill.runtime.gradient_guard import GradientGuard

CONFIG = 'configs/ccdistill/refinenet_small_mini_day2night.py'
GUARDS = (
    'CollapseAlarmHook',
    'DataGuardHook',
    'DeferredInfoHook',
    'ExactResumeHook',
    'FiniteGuardHook',
    'SafeStopHook',
)
WARM_UP = 10


class Stopwatch(Hook):
    """Starts when the warm-up is over, stops after the last iteration."""

    priority = 'HIGHEST'

    def __init__(self) -> None:
        self.inside: dict[str, float] = defaultdict(float)
        self.start = self.total = 0.0

    def before_train_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None) -> None:
        """Begin to count.

        Args:
            runner: The runner.
            batch_idx: Not used.
            data_batch: Not used.
        """
        if runner.iter == WARM_UP:
            self.inside.clear()
            self.start = time.perf_counter()
        self.total = time.perf_counter() - self.start

    def timed(self, function: Callable[..., Any], name: str) -> Callable[..., Any]:
        """The function, its seconds added under ``name``."""

        def call(*args: Any, **kwargs: Any) -> Any:
            start = time.perf_counter()
            try:
                return function(*args, **kwargs)
            finally:
                self.inside[name] += time.perf_counter() - start

        return call


def measure(iterations: int) -> Stopwatch:
    """Train; the stopwatch holds the seconds inside each guard and of all iterations."""
    cfg = Config.fromfile(str(ROOT / CONFIG))
    cfg.train_cfg = dict(
        type='IterBasedTrainLoop', max_iters=iterations + WARM_UP + 1, val_interval=10**6
    )
    cfg.default_hooks.checkpoint.update(interval=10**6, save_last=False)
    cfg.load_from = None
    for key in ('dataloader', 'cfg', 'evaluator'):
        cfg[f'val_{key}'] = cfg[f'test_{key}'] = None
    watch = Stopwatch()
    step = watch.timed(GradientGuard._before_step, 'GradientGuard')
    with (
        tempfile.TemporaryDirectory() as folder,
        mock.patch.object(GradientGuard, '_before_step', step),
    ):
        cfg.work_dir = folder
        runner = Runner.from_cfg(cfg)
        for hook in runner.hooks:
            name = type(hook).__name__
            for moment in ('before_train_iter', 'after_train_iter') if name in GUARDS else ():
                setattr(hook, moment, watch.timed(getattr(hook, moment), name))
        runner.register_hook(watch)
        runner.train()
    return watch


def main() -> None:
    """Print the shares."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--iterations', type=int, default=100)
    args = parser.parse_args()
    torch.set_num_threads(1)
    if not (ROOT / 'data/mini_night').is_dir():
        raise SystemExit(
            'no data/mini_night: run python tools/dataset_converters/mini_night.py data/mini_night'
        )
    watch = measure(args.iterations)
    print(f'iteration: {1000 * watch.total / args.iterations:.1f} ms')
    for name, seconds in sorted(watch.inside.items(), key=lambda item: -item[1]):
        print(
            f'{name}: {1000 * seconds / args.iterations:.3f} ms, {100 * seconds / watch.total:.3f} %'
        )
    print(f'all: {100 * sum(watch.inside.values()) / watch.total:.3f} %')


if __name__ == '__main__':
    main()
