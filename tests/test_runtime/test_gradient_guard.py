from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from mmseg_ccdistill.runtime.gradient_guard import GradientGuard, gradient_norm

OPTIMIZERS: dict[str, Callable[..., torch.optim.Optimizer]] = {
    'sgd': lambda p, **kw: torch.optim.SGD(p, lr=0.1, momentum=0.9, weight_decay=0.1, **kw),
    'nesterov': lambda p, **kw: torch.optim.SGD(p, lr=0.1, momentum=0.9, nesterov=True, **kw),
    'plain': lambda p, **kw: torch.optim.SGD(p, lr=0.1, **kw),
    'adamw': lambda p, **kw: torch.optim.AdamW(p, lr=0.1, weight_decay=0.1, **kw),
}


def supports_fused() -> bool:
    try:
        OPTIMIZERS['sgd']([torch.zeros(1, requires_grad=True)], fused=True)
    except (RuntimeError, TypeError):  # older torch: on CUDA only, or not at all
        return False
    return True


FUSED = pytest.param(True, marks=pytest.mark.skipif(not supports_fused(), reason='no kernel'))


def train(name: str, losses: list[float], guarded: bool = True, **kwargs: object) -> torch.Tensor:
    """Weights after one step per entry, which scales the loss of that step."""
    weight = torch.tensor([1.0, -2.0, 3.0], requires_grad=True)
    optimizer = OPTIMIZERS[name]([weight], **kwargs)
    if guarded:
        GradientGuard(optimizer)
    for scale in losses:
        optimizer.zero_grad()
        (scale * weight.square().sum()).backward()
        optimizer.step()
    return weight.detach()


@pytest.mark.parametrize('fused', [False, FUSED])
@pytest.mark.parametrize('name', OPTIMIZERS)
@pytest.mark.parametrize('value', [float('nan'), float('inf')])
def test_a_bad_step_is_as_if_it_had_not_been(name: str, fused: bool, value: float) -> None:
    """First, last, in between or several in a row: weights and momentum of the clean run without the guard."""
    kwargs = {'fused': True} if fused else {}
    clean = train(name, [1.0, 2.0, 0.5], guarded=False)
    torch.testing.assert_close(train(name, [1.0, 2.0, 0.5], **kwargs), clean)
    for losses in ([value, 1.0, 2.0, 0.5], [1.0, value, value, 2.0, 0.5], [1.0, 2.0, 0.5, value]):
        torch.testing.assert_close(train(name, losses, **kwargs), clean)
    assert not torch.isfinite(train(name, [1.0, value, 2.0], guarded=False)).all()


def test_the_norm_is_that_of_all_gradients() -> None:
    weights = [torch.ones(3, requires_grad=True), torch.ones(1, requires_grad=True)]
    unused = torch.ones(2, requires_grad=True)
    (weights[0].sum() * 2 + weights[1].sum() * 6).backward()
    norm = gradient_norm([*weights, unused])
    assert norm is not None and norm.item() == pytest.approx((3 * 4 + 36) ** 0.5)
    assert gradient_norm([unused]) is None
    guard = GradientGuard(torch.optim.SGD(weights, lr=0.1, momentum=0.9))
    guard.optimizer.step()
    assert guard.norm is not None and guard.norm.item() == pytest.approx(48**0.5)


def test_a_removed_guard_watches_no_more() -> None:
    weight = torch.ones(1, requires_grad=True)
    guard = GradientGuard(torch.optim.SGD([weight], lr=0.1))
    guard.remove()
    weight.grad = torch.tensor([float('nan')])
    guard.optimizer.step()
    assert torch.isnan(weight).all() and guard.norm is None


@pytest.mark.skipif(not supports_fused(), reason='no fused kernel here')
def test_the_finding_of_a_loss_scaler_is_kept() -> None:
    """torch's GradScaler leaves its scale and finding on a fused optimizer: neither is lost, the norm is unscaled."""
    weight = torch.ones(2, requires_grad=True)
    optimizer = OPTIMIZERS['sgd']([weight], fused=True)
    guard = GradientGuard(optimizer)
    weight.grad = torch.full((2,), 8.0)
    optimizer.grad_scale, optimizer.found_inf = torch.tensor(4.0), torch.tensor(1.0)
    optimizer.step()
    assert torch.equal(weight.detach(), torch.ones(2)) and optimizer.found_inf.item() == 1
    assert guard.norm is not None and guard.norm.item() == pytest.approx(8**0.5)
    optimizer.found_inf = torch.tensor(0.0)
    optimizer.step()
    torch.testing.assert_close(weight.detach(), torch.full((2,), 1 - 0.1 * (2 + 0.1)))


def test_a_norm_is_taken_once() -> None:
    """Under accumulation most iterations have no step: they have no norm, not that of the last step."""
    weight = torch.ones(4, requires_grad=True)
    guard = GradientGuard(torch.optim.SGD([weight], lr=0.1))
    assert guard.take_norm() is None
    weight.grad = torch.full((4,), 2.0)
    guard.optimizer.step()
    norm = guard.take_norm()
    assert isinstance(norm, torch.Tensor) and norm.item() == 4
    assert guard.take_norm() is None and guard.norm is not None


class Scaler:
    """What torch's GradScaler does with an optimizer that is not fused: the step, or none after an infinity."""

    def step(self, optimizer: torch.optim.Optimizer) -> None:
        gradients = [p.grad for group in optimizer.param_groups for p in group['params']]
        if all(torch.isfinite(g).all() for g in gradients if g is not None):
            optimizer.step()


class Scaled:
    """mmengine's wrapper with a loss scaler, as far as a step goes."""

    def __init__(self, optimizer: torch.optim.Optimizer) -> None:
        self.optimizer = optimizer
        self.loss_scaler = Scaler()

    def step(self) -> None:
        self.loss_scaler.step(self.optimizer)


def test_a_step_that_a_scaler_leaves_out_has_no_number() -> None:
    weight = torch.ones(4, requires_grad=True)
    wrapper = Scaled(torch.optim.SGD([weight], lr=0.1))
    guard = GradientGuard(wrapper.optimizer, wrapper)
    taken = []
    for value in (2.0, float('inf'), 2.0):
        weight.grad = torch.full((4,), value)
        wrapper.step()
        taken.append(float(guard.take_norm() or 0.0))
    assert taken[::2] == [4, 4] and taken[1] != taken[1]
    guard.remove()
    weight.grad = torch.full((4,), float('inf'))
    wrapper.step()
    assert guard.take_norm() is None and wrapper.step == wrapper.__class__.step.__get__(wrapper)
