"""Losses of a short run of a small CCDistill model in memory, under the switches of a config."""

from __future__ import annotations

import tempfile
from typing import Any
from unittest import mock

import torch
from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.logging import MessageHub, MMLogger
from mmengine.registry import init_default_scope
from mmseg.visualization import SegLocalVisualizer
from small_ccdistill import SIDE, small_model
from torch.utils.data import DataLoader

from benchmarks.gpu.batches import make_batches
from mmseg_ccdistill.runtime.named_hooks import NamedHooksRunner


class Watch(Hook):
    """Draws the same random numbers in each run, and keeps the losses."""

    def __init__(self) -> None:
        self.losses: list[float] = []

    def before_train_iter(self, runner: Any, batch_idx: int, data_batch: Any = None) -> None:
        torch.manual_seed(runner.iter)

    def after_train_iter(
        self, runner: Any, batch_idx: int, data_batch: Any = None, outputs: Any = None
    ) -> None:
        self.losses.append(float(outputs['loss'].detach()))


def make_runner(
    iterations: int, model: dict[str, Any] | None = None, **switches: Any
) -> tuple[NamedHooksRunner, Watch]:
    """A runner over eight batches in turn.

    Args:
        iterations: Length of the run.
        model: Config of the model. Defaults to None, the small CCDistill.
        **switches: Top-level settings of the config; ``optim_wrapper`` is updated.

    Returns:
        Runner and the hook that keeps its losses.
    """
    for kept in (SegLocalVisualizer, MMLogger, MessageHub):  # for the life of a process
        kept._instance_dict.clear()
    init_default_scope('mmseg')
    batches = make_batches(SIDE, 8)
    wrapper = dict(type='OptimWrapper', optimizer=dict(type='SGD', lr=2.5e-4, momentum=0.9))
    wrapper.update(switches.pop('optim_wrapper', {}))
    model = small_model(diagnostics_interval=0) if model is None else model
    config = Config(dict(default_scope='mmseg', **switches))
    torch.manual_seed(0)
    runner = NamedHooksRunner(
        model=model,
        work_dir=tempfile.mkdtemp(),
        train_dataloader=DataLoader(batches, collate_fn=_only),
        train_cfg=dict(type='IterBasedTrainLoop', max_iters=iterations),
        optim_wrapper=wrapper,
        default_hooks=dict(
            runtime_info=dict(type='DeferredInfoHook'), finite_guard=dict(type='FiniteGuardHook'),
            checkpoint=None, logger=None, sampler_seed=None,
        ),
        randomness=dict(seed=0),
        cfg=config,
        default_scope='mmseg',
        log_level='ERROR',
        experiment_name='modes',
    )  # fmt: skip
    watch = Watch()
    runner.register_hook(watch)
    return runner, watch


def _only(batches: list[Any]) -> Any:
    return batches[0]


def losses(iterations: int, model: dict[str, Any] | None = None, **switches: Any) -> list[float]:
    """Losses of a run, one for each iteration.

    Args:
        iterations: Length of the run.
        model: See :func:`make_runner`.
        **switches: See :func:`make_runner`.
    """
    # MMEngine builds an AmpOptimWrapper only beside a GPU
    place = 'mmengine.optim.optimizer.amp_optimizer_wrapper.is_cuda_available'
    with mock.patch(place, lambda: True):
        runner, watch = make_runner(iterations, model, **switches)
        runner.train()
    return watch.losses


def differences(found: Any, plain: Any) -> torch.Tensor:
    """Relative differences of the losses of two runs."""
    ours, theirs = torch.tensor(found), torch.tensor(plain)
    return (ours - theirs).abs() / theirs
