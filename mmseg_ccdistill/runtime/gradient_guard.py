"""Optimizer steps whose gradient is not finite change nothing, without waiting for the device."""

from __future__ import annotations

import functools
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer


def gradient_norm(parameters: Iterable[Tensor]) -> Tensor | None:
    """Euclidean norm over all gradients.

    Args:
        parameters (Iterable[Tensor]): Parameters; those without a gradient are passed over.

    Returns:
        Tensor | None: Scalar on the parameters' device, not finite if one element is not (or if the squares
        overflow); None if there is no gradient.
    """
    gradients = [p.grad for p in parameters if p.grad is not None]
    if not gradients:
        return None
    norms = list(torch._foreach_norm(gradients, 2))
    if any(norm.dtype != torch.float32 for norm in norms):  # a call per tensor counts on a CPU
        norms = [norm.float() for norm in norms]
    return torch.linalg.vector_norm(torch.stack(norms))


class GradientGuard:
    """Skips the steps of one optimizer whose gradient norm is not finite.

    A skipped step changes neither weights nor the optimizer's state. An optimizer with a fused kernel (CUDA; SGD
    from torch 2.3 on, Adam and AdamW before) is switched to it and skips on the device. Any other asks for the
    norm on the host before every step; on a CPU that costs nothing, on a GPU it is one synchronisation.

    Args:
        optimizer (Optimizer): Watched until :meth:`remove`. Of a ``JointOptimizer`` all parts are skipped together.
        wrapper (OptimWrapper | None): mmengine's wrapper around it. With a loss scaler, its steps are watched, too:
            the scaler leaves out the optimizer's step where it finds an infinity. Defaults to None.

    Attributes:
        norm: Norm of the last step's gradient, a scalar on the device, before the step; None before the first.
    """

    def __init__(self, optimizer: Optimizer, wrapper: Any = None) -> None:
        self.optimizer = optimizer
        self.norm: Tensor | None = None
        self._untaken: Tensor | float | None = None
        self._scaled = wrapper if hasattr(wrapper, 'loss_scaler') else None
        if self._scaled is not None:
            self._watch_scaled_steps(self._scaled)
        self.parts: list[Optimizer] = list(getattr(optimizer, 'parts', {'': optimizer}).values())
        self.fused = all([_use_fused_kernel(part) for part in self.parts])
        self._handles = [
            optimizer.register_step_pre_hook(self._before_step),
            optimizer.register_step_post_hook(self._after_step),
        ]
        self._set_flag = False

    def remove(self) -> None:
        """Stop watching."""
        for handle in self._handles:
            handle.remove()
        if self._scaled is not None:
            self._scaled.step = self._scaled.step.__wrapped__
            self._scaled = None

    def take_norm(self) -> Tensor | float | None:
        """Norm of the step since the last call.

        Returns:
            Tensor | float | None: Scalar on the device; NaN if a loss scaler left the step out; None if there was no
            step, as in most iterations under gradient accumulation.
        """
        norm, self._untaken = self._untaken, None
        return norm

    def _watch_scaled_steps(self, wrapper: Any) -> None:
        """Take a step as left out until the optimizer makes it."""
        step = wrapper.step

        @functools.wraps(step)  # copies the mark by which mmengine's schedulers know a step
        def watched(*args: Any, **kwargs: Any) -> Any:
            self._untaken = float('nan')
            return step(*args, **kwargs)

        wrapper.step = watched

    def _before_step(self, optimizer: Optimizer, args: Any, kwargs: Any) -> None:
        parameters = [p for group in optimizer.param_groups for p in group['params']]
        self.norm = self._untaken = gradient_norm(parameters)
        if self.norm is None:
            return
        scale = getattr(optimizer, 'grad_scale', None)
        if scale is not None:  # a loss scaler leaves the division to the fused kernel
            self.norm = self._untaken = self.norm / scale
        if self.fused:
            for part in self.parts:
                _start_momentum(part)
            bad = (~torch.isfinite(self.norm)).float()
            earlier = getattr(optimizer, 'found_inf', None)  # the loss scaler's own finding
            self._set_flag = earlier is None
            optimizer.found_inf = bad if earlier is None else torch.maximum(bad, earlier)  # type: ignore[attr-defined]
        elif not torch.isfinite(self.norm):
            for parameter in parameters:  # without a gradient an optimizer passes a parameter over
                parameter.grad = None

    def _after_step(self, optimizer: Optimizer, args: Any, kwargs: Any) -> None:
        if self._set_flag:
            del optimizer.found_inf  # type: ignore[attr-defined]
            self._set_flag = False


def _use_fused_kernel(optimizer: Optimizer) -> bool:
    """Switch to the fused kernel where there is one that can skip; tell whether it is on."""
    on_gpu = all(p.is_cuda for group in optimizer.param_groups for p in group['params'])
    if 'fused' not in optimizer.defaults:
        return False
    for group in optimizer.param_groups:
        if group['fused'] is None and group.get('foreach') is None and on_gpu:
            group['fused'] = True
            group['foreach'] = False
    # A skipped first step leaves SGD's buffers unset; only without dampening is zero the same as unset.
    return all(group['fused'] and not group.get('dampening') for group in optimizer.param_groups)


def _start_momentum(optimizer: Optimizer) -> None:
    """Zero momentum buffers before SGD's first step: torch makes them in a step, filled only if it is not skipped."""
    if not isinstance(optimizer, torch.optim.SGD):
        return
    for group in optimizer.param_groups:
        if group['momentum']:
            for parameter in group['params']:
                state = optimizer.state[parameter]
                if state.get('momentum_buffer') is None:
                    state['momentum_buffer'] = torch.zeros_like(parameter)
