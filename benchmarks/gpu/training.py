"""The training step of a config, as a run takes it, in several modes."""

from __future__ import annotations

import contextlib
import copy
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any
from unittest import mock

import torch
from mmengine.config import Config
from mmengine.hooks import Hook, LoggerHook, RuntimeInfoHook
from mmengine.logging import MessageHub, MMLogger
from mmengine.optim import OptimWrapper, build_optim_wrapper
from mmengine.registry import init_default_scope
from mmseg.registry import MODELS
from torch import Tensor, nn

from benchmarks.gpu.config_batches import make_config_batches
from benchmarks.gpu.settings import Settings
from benchmarks.repository import ROOT
from benchmarks.shrink import shrink
from mmseg_ccdistill.engine.hooks import DeferredInfoHook, ExactResumeHook, FiniteGuardHook

PAPER = 'ccdistill/refinenet_r101_cs2dz.py'


@dataclass(frozen=True)
class Mode:
    """How a step is computed.

    Attributes:
        bf16: Automatic mixed precision in bfloat16, without a loss scaler.
        tf32: Whether convolutions of float32 may run in TF32, torch's default.
        channels_last: Layout of the weights, which the activations follow.
        benchmark: ``cudnn_benchmark``.
        hooks: The guards of the shipped runtime; without them MMEngine's own log hook.
    """

    bf16: bool = False
    tf32: bool = True
    channels_last: bool = False
    benchmark: bool = True
    hooks: bool = True


def load_config(name: str, settings: Settings) -> Config:
    """A shipped config with random weights, narrow if the run is tiny.

    Args:
        name: Path below ``configs``.
        settings: Of the run.

    Returns:
        Config.
    """
    init_default_scope('mmseg')
    config = Config.fromfile(str(ROOT / 'configs' / name))
    if settings.tiny:
        config = shrink(config)
    config.load_from = None
    segmentor = config.model.get('segmentor', config.model)
    segmentor.backbone.pop('init_cfg', None)
    return config


def build_model(config: Config, settings: Settings) -> Any:
    """The config's model on the device, initialised from one seed.

    Args:
        config: What :func:`load_config` returned.
        settings: Of the run.

    Returns:
        ``nn.Module`` in training mode.
    """
    logger = MMLogger.get_current_instance()
    level = logger.level
    logger.setLevel('ERROR')  # not how each layer was initialised
    torch.manual_seed(0)
    try:
        with settings.device:  # weights are drawn faster on a GPU
            model = MODELS.build(copy.deepcopy(config.model))
            model.init_weights()
    except TypeError:  # a part that reads its tensors with NumPy while it is built
        model = MODELS.build(copy.deepcopy(config.model))
        model.init_weights()
    finally:
        logger.setLevel(level)
    return model.to(settings.device).train()


def make_optim_wrapper(
    model: nn.Module, config: Config, settings: Settings, amp: dict[str, Any] | None = None
) -> OptimWrapper:
    """The config's optimizers in their wrapper, or in one with automatic mixed precision.

    MMEngine builds the latter only beside a GPU; on a CPU, for the rehearsal, it is told that there is one.

    Args:
        model: Model.
        config: Config with ``optim_wrapper``.
        settings: Of the run.
        amp: Arguments of ``AmpOptimWrapper``. Defaults to None, the config's own wrapper.

    Returns:
        Wrapper.
    """
    options = copy.deepcopy(config.optim_wrapper)
    if amp is not None:
        options.update(copy.deepcopy(amp), type='AmpOptimWrapper')
    if settings.cuda or options.get('type') != 'AmpOptimWrapper':
        return build_optim_wrapper(model, options)
    place = 'mmengine.optim.optimizer.amp_optimizer_wrapper.is_cuda_available'
    if hasattr(torch.amp, 'GradScaler'):
        options.loss_scale['device'] = 'cpu'
    with mock.patch(place, lambda: True):
        return build_optim_wrapper(model, options)


@contextlib.contextmanager
def precision(mode: Mode) -> Iterator[None]:
    """Torch's global switches as a mode wants them, the former ones restored afterwards."""
    cudnn = torch.backends.cudnn
    before = cudnn.benchmark, cudnn.allow_tf32
    cudnn.benchmark, cudnn.allow_tf32 = mode.benchmark, mode.tf32
    try:
        yield
    finally:
        cudnn.benchmark, cudnn.allow_tf32 = before


class Training:
    """Steps of one model, as the runner takes them: batch to the device, step, hooks.

    Args:
        settings: Of the run.
        config: What :func:`load_config` returned.
        mode: How the step is computed; :func:`precision` must be in force.
        model: Model to train. Defaults to None, a new one.
        batches: Batches in turn. Defaults to None, four as the config's loader would give them.

    Attributes:
        model: The model.
        iteration: Steps taken.
    """

    def __init__(
        self,
        settings: Settings,
        config: Config,
        mode: Mode,
        model: Any = None,
        batches: Sequence[dict[str, Any]] | None = None,
    ) -> None:
        self.settings, self.mode = settings, mode
        self.model: Any = build_model(config, settings) if model is None else model
        if mode.channels_last:
            self.model.to(memory_format=torch.channels_last)
        amp = dict(dtype='bfloat16', loss_scale=dict(enabled=False)) if mode.bf16 else None
        self.wrapper = make_optim_wrapper(self.model, config, settings, amp)
        self.batches = batches or make_config_batches(config, settings, 4)
        self.iteration = 0
        self.folder = tempfile.TemporaryDirectory()
        self.runner = SimpleNamespace(
            model=self.model,
            optim_wrapper=self.wrapper,
            message_hub=MessageHub.get_current_instance(),
            logger=MMLogger.get_current_instance(),
            hooks=[LoggerHook(interval=50)],
            train_dataloader=SimpleNamespace(dataset=None),
            train_loop=None,
            work_dir=self.folder.name,
            seed=0,
            iter=0,
            epoch=0,
            max_iters=10**6,
            max_epochs=1,
        )
        self.hooks: list[Hook] = [RuntimeInfoHook()]
        if mode.hooks:
            # the seed of a step, the guard of its gradient, the log; MMEngine calls them by priority
            self.seeding = ExactResumeHook()
            self.hooks = [FiniteGuardHook(), DeferredInfoHook()]
        for hook in self.hooks:
            hook.before_train(self.runner)

    def bare_step(self) -> dict[str, Tensor]:
        """A step on the present batch without hooks."""
        batch = self.batches[self.iteration % len(self.batches)]
        return self.model.train_step(batch, self.wrapper)

    def step(self) -> dict[str, Tensor]:
        """The next step; returns what it logs, on the device."""
        self.runner.iter = self.iteration
        self.tell_iteration(self.iteration)
        if self.mode.hooks:
            self.seeding.before_train_iter(self.runner, self.iteration)
        logs = self.bare_step()
        batch = self.batches[self.iteration % len(self.batches)]
        for hook in self.hooks:
            hook.after_train_iter(self.runner, self.iteration, batch, logs)
        self.iteration += 1
        return logs

    def tell_iteration(self, iteration: int) -> None:
        """Say to the log and to the model which iteration it is."""
        self.runner.message_hub.update_info('iter', iteration)
        if hasattr(self.model, 'set_iteration'):
            self.model.set_iteration(iteration, self.runner.max_iters)

    def skip_to(self, iteration: int) -> None:
        """Go on as the given iteration, to meet or to miss a logging one (every 50th)."""
        self.iteration = iteration
