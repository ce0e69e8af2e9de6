"""What an iteration and a prediction of DANNet cost, counted on the meta device."""

from __future__ import annotations

import pytest
import torch
from test_cost import CONFIG, FORWARD, FULL_DOMAIN, GIB, build
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.iteration_cost import meta_samples
from benchmarks.step_cost import count_step

DANNET = CONFIG.parents[1] / 'dannet/refinenet_r101_cs2dz.py'
pytestmark = pytest.mark.slow


def forward(module: nn.Module, *shape: int) -> int:
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        module.eval()(torch.empty(shape, device='meta'))
    return counter.get_total_flops()


def convolution(inputs: int, outputs: int, kernel: int, size: int) -> int:
    return 2 * inputs * outputs * kernel**2 * size**2


@pytest.mark.parametrize(
    ('side', 'tflop', 'supervised', 'gib'), [(960, 17.10, 5.43, 14.48), (512, 14.20, 4.51, 13.11)]
)
def test_an_iteration(side: int, tflop: float, supervised: float, gib: float) -> None:
    """Two samples of each domain. What the images and detached maps would get as gradient is not computed."""
    model = build(DANNET)
    model.diagnostics_interval = 0
    model.target_size = None if side == 512 else (side, side)
    inputs = {d: torch.empty(2, 3, 512, 512, device='meta') for d in model.domains}
    samples = {d: meta_samples(d == 'source_day') for d in model.domains}
    cost = count_step(model, inputs, samples)
    assert all(p.grad is not None for p in model.parameters())
    light = forward(model.night.light_net, 1, 3, 512, 512)
    judge = model.discriminators['day']
    networks = 6 * (3 * (FORWARD + light) - convolution(3, 64, 7, 512))
    source, target = (forward(judge, 1, 19, size, size) for size in (512, side))
    learning = sum(
        3 * cost - convolution(19, 64, 4, size // 2)
        for cost, size in ((source, 512), (target, side))
    )
    assert cost.flops == networks + 4 * (2 * target + learning)
    assert cost.flops / 1e12 == pytest.approx(tflop, abs=5e-3)
    assert cost.flops / FULL_DOMAIN == pytest.approx(supervised, abs=5e-3)
    assert cost.saved_bytes / GIB == pytest.approx(gib, abs=5e-3)


def test_a_prediction() -> None:
    """The relighting network adds 31 % at the size of the tests, and 4.30 M parameters."""
    model = build(DANNET)
    whole, light = (forward(m, 1, 3, 540, 960) for m in (model.night, model.night.light_net))
    assert light == pytest.approx(325.27e9, abs=5e6)
    assert whole / (whole - light) == pytest.approx(1.31, abs=5e-3)
    assert sum(p.numel() for p in model.night.parameters()) == 118_047_827 + 4_299_395
    assert len(model.night.state_dict()) == 780
