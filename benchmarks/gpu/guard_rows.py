"""A gradient that is not finite, on the device: the step is skipped, nothing changes, the host does not wait."""

from __future__ import annotations

import math
from typing import Any

import torch

from benchmarks.gpu.device_work import count_waits
from benchmarks.gpu.settings import Settings
from benchmarks.gpu.training import Mode, Training, load_config, make_optim_wrapper, precision
from benchmarks.row_running import NotHere

SMALL = 'ccdistill/refinenet_small_cs2dz.py'
#: Low enough for the gradients of random weights in float16.
LOSS_SCALE = 256.0
CLEAN_STEPS = 4


def guard_row(settings: Settings, scaler: bool, fused: bool) -> dict[str, Any]:
    """Train, spoil one gradient, and look at what the step has changed.

    Args:
        settings: Of the run.
        scaler: Whether a loss scaler takes part (float16; bfloat16 on a CPU).
        fused: Whether the config asks for the fused optimizer; else the guard switches to it.

    Returns:
        ``clean_changed``: weights that a clean step changed; ``spoiled_changed``: those, momentum and all, that
        the spoiled one did (0 is right); ``norm_finite``: False is right; ``scale``: before and after the spoiled
        step; ``skipped``: what the hook counted (1 is right); ``host_waits`` of a clean step.

    Raises:
        NotHere: If this torch has no loss scaler or no fused kernel for the device.
    """
    if scaler and not settings.cuda and not hasattr(torch.amp, 'GradScaler'):
        raise NotHere(f'torch {torch.__version__} has no loss scaler for a CPU')
    config = load_config(SMALL, settings)
    amp = None
    if scaler:
        scale = dict(init_scale=LOSS_SCALE, growth_interval=10**6)
        amp = dict(dtype='float16' if settings.cuda else 'bfloat16', loss_scale=scale)
    mode = Mode()
    with precision(mode):
        training = Training(settings, config, mode)
        for hook in training.hooks:
            hook.after_train(training.runner)
        if fused:
            config.optim_wrapper.optimizer.fused = True
        try:
            wrapper = make_optim_wrapper(training.model, config, settings, amp)
        except (RuntimeError, TypeError, ValueError) as error:
            raise NotHere(f'no such optimizer here: {error}') from error
        training.wrapper = training.runner.optim_wrapper = wrapper
        for hook in training.hooks:
            hook.before_train(training.runner)
        training.skip_to(101)
        before = _state(training)
        for _ in range(CLEAN_STEPS):
            training.step()
        found: dict[str, Any] = dict(clean_changed=_changed(before, _state(training)))
        found.update(count_waits(training.step, settings))

        before, scale_before = _state(training), _scale(wrapper)
        weight = training.model.night.decode_head.conv_seg.weight
        handle = weight.register_hook(lambda gradient: gradient * math.inf)
        logs = training.step()
        handle.remove()
        found['spoiled_changed'] = _changed(before, _state(training))
        found['scale'] = [scale_before, _scale(wrapper)]
        norm = logs.get('grad_norm')
        found['norm_finite'] = None if norm is None else bool(torch.isfinite(torch.as_tensor(norm)))
        training.step()
        training.hooks[0].after_train(training.runner)
        found['skipped'] = training.hooks[0].skipped
    return found


def _state(training: Training) -> list[torch.Tensor]:
    """Copies of the weights and of the optimizer's tensors."""
    optimizer = training.wrapper.optimizer
    states = [
        value
        for parameter in training.model.parameters()
        for value in optimizer.state.get(parameter, {}).values()
        if isinstance(value, torch.Tensor)
    ]
    return [t.detach().clone() for t in [*training.model.parameters(), *states]]


def _changed(before: list[torch.Tensor], after: list[torch.Tensor]) -> int:
    """Elements that differ; tensors that were not there before are not compared."""
    return sum(int((old != new).sum()) for old, new in zip(before, after, strict=False))


def _scale(wrapper: Any) -> float | None:
    scaler = getattr(wrapper, 'loss_scaler', None)
    return None if scaler is None else float(scaler.get_scale())
