from __future__ import annotations

import pytest
import torch
from golden_maps import normal
from torch import Tensor

from mmseg_ccdistill.models.losses.light_loss import (
    LightLoss,
    exposure_loss,
    light_loss,
    night_level,
    ssim_distance,
    total_variation,
)

SHAPE = (2, 3, 64, 96)


def pair() -> tuple[Tensor, Tensor, Tensor]:
    return (
        normal(1003, *SHAPE),
        normal(1004, *SHAPE).tanh(),
        night_level(normal(1005, *SHAPE) - 1.5),
    )


def test_golden_terms() -> None:
    x, r, level = pair()
    assert level.item() == pytest.approx(-1.49636445993)
    assert total_variation(r).item() == pytest.approx(9.39483151260)
    distance = ssim_distance(x + r, x)
    assert distance.mean().item() == pytest.approx(0.283328321458)
    assert distance[0, 0, 0, 0].item() == pytest.approx(0.103507300140)
    assert distance[1, 2, 63, 95].item() == pytest.approx(0.516477710774)
    assert exposure_loss(x + r, level).item() == pytest.approx(2.25335297277)
    assert exposure_loss(x, level).item() == pytest.approx(2.24492314240)
    assert light_loss(x, r, level).item() == pytest.approx(96.4849964202)


def test_no_change_of_light_costs_nothing_but_the_exposure() -> None:
    x, r, level = pair()
    zero = torch.zeros_like(r)
    assert total_variation(zero).item() == 0
    assert ssim_distance(x, x).abs().max().item() == pytest.approx(0, abs=1e-12)
    assert light_loss(x, zero, level).item() == pytest.approx(2.24492314240)


def test_a_ramp_has_the_variation_of_its_channels() -> None:
    ramp = torch.arange(64.0).double().view(1, 1, 64, 1).expand(SHAPE)
    assert total_variation(ramp).item() == pytest.approx(2 * 3)


def test_two_constants() -> None:
    a, b = torch.full((1, 1, 8, 8), 0.5).double(), torch.full((1, 1, 8, 8), 0.25).double()
    torch.testing.assert_close(
        ssim_distance(a, b), torch.full_like(a, 0.0999680), rtol=1e-5, atol=0
    )


def test_golden_gradient_norms() -> None:
    x, r, level = pair()
    r.requires_grad_()
    assert torch.autograd.grad(total_variation(r), r)[0].norm().item() == pytest.approx(0.175043037)
    relit = (x + r.detach()).requires_grad_()
    gradient = torch.autograd.grad(ssim_distance(relit, x).mean(), relit)[0]
    assert gradient.norm().item() == pytest.approx(4.94350677e-3)
    gradient = torch.autograd.grad(exposure_loss(relit, level), relit)[0]
    assert gradient.norm().item() == pytest.approx(1.56366379e-2)


def test_a_remainder_of_a_patch_is_dropped() -> None:
    x = normal(1, 1, 3, 40, 70)
    assert exposure_loss(x, torch.tensor(0.0)).item() == pytest.approx(
        exposure_loss(x[:, :, :32, :64], torch.tensor(0.0)).item()
    )


def test_weights_of_the_domains_and_autocast() -> None:
    x, r, level = (value.float() for value in pair())
    plain = light_loss(x, r, level)
    loss = LightLoss()
    assert loss('source_day', x, r, level).item() == pytest.approx(plain.item())
    assert loss('target_night', x, r, level).item() == pytest.approx(0.01 * plain.item())
    with torch.autocast('cpu', torch.bfloat16):
        assert loss('source_day', x, r, level).item() == plain.item()
    with pytest.raises(ValueError, match='must not be negative'):
        LightLoss(target_weight=-1.0)


def test_the_level_of_the_night_is_a_constant() -> None:
    night = normal(2, *SHAPE).requires_grad_()
    assert not night_level(night).requires_grad
