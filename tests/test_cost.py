"""What an iteration of the paper's config costs, counted on the meta device: exact, the same everywhere.

A k x k convolution costs 2 * C_in * C_out * k^2 * H_out * W_out FLOP forward, and as much again for
each of its two gradients. GiB is 2^30 bytes.
"""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.iteration_cost import (
    Cost,
    build,
    count_iteration,
)
from benchmarks.step_cost import GIB, saved_for_backward

CONFIG = Path(__file__).resolve().parents[1] / 'configs/ccdistill/refinenet_r101_cs2dz.py'

#: RefineNet-R101 forward on one 512 x 512 image; pinned by the test of the decode head too.
FORWARD = 525_646_954_496
#: The first convolution (7 x 7, 3 to 64 channels, 256 x 256 outputs): the images need no gradient.
STEM = 2 * 3 * 64 * 49 * 256 * 256
#: S_d, S_n, T_n with two images each: forward, gradient of the weights, gradient of the inputs.
FULL_DOMAIN = 2 * (3 * FORWARD - STEM)


@pytest.fixture(scope='module')
def model() -> nn.Module:
    return build(CONFIG)


@pytest.fixture(scope='module')
def iteration(model: nn.Module) -> Cost:
    return count_iteration(model)


def count_branch(model: nn.Module, decoder_learns: bool) -> Cost:
    """One domain of two images alone: backbone with gradient, decoder with or without."""
    images = torch.empty(2, 3, 512, 512, device='meta')
    with FlopCounterMode(display=False) as counter, saved_for_backward(model) as saved:
        maps = model.day.backbone(images)
        with torch.set_grad_enabled(decoder_learns):
            logits = model.day.decode_head(maps)
        (logits if decoder_learns else maps[-1]).sum().backward()
    model.zero_grad(set_to_none=True)
    return Cost(counter.get_total_flops(), saved.most)


def test_parameters(model: nn.Module) -> None:
    assert sum(p.numel() for p in model.projection_head.parameters()) == 4_720_896
    total = sum(p.numel() for p in model.parameters())
    assert total == 2 * 118_047_827 + 4_720_896 == 240_816_550
    state = model.state_dict()
    for branch in ('day', 'night'):
        assert sum(key.startswith(f'{branch}.') for key in state) == 712
    assert sum(key.startswith('night.decode_head.') for key in state) == 88


def test_feature_map_at_a_512_crop(iteration: Cost) -> None:
    assert iteration.feature_shapes == {(2, 2048, 16, 16)}


def test_supervised_domain(model: nn.Module) -> None:
    cost = count_branch(model, decoder_learns=True)
    assert cost.flops == FULL_DOMAIN
    assert cost.flops == pytest.approx(3.151e12, abs=5e8)
    assert cost.saved_bytes / 2 / GIB == pytest.approx(1.2327, abs=1e-3)


def test_target_day_has_no_backward_through_the_decoder(model: nn.Module) -> None:
    cost = count_branch(model, decoder_learns=False)
    assert cost.flops == pytest.approx(1.375e12, abs=5e8)
    assert cost.saved_bytes / 2 / GIB == pytest.approx(0.618, abs=1e-3)


def test_flop_of_one_iteration(iteration: Cost) -> None:
    """Three full domains, T_d without decoder backward, four heads, and the Gram cosines on the 16 x 16 grid."""
    head = 3 * 4 * 2 * 256 * 2 * (2048 * 2048 + 2048 * 256)
    # Three N x N products per cosine; one gradient product for each A^T A, two for A^T B.
    gram = 2 * 2 * (3 + 4) * 2 * 256 * 256 * 2048
    rest = iteration.flops - 3 * FULL_DOMAIN - head - gram
    assert rest == pytest.approx(1.375e12, abs=5e8)
    assert 10.85e12 < iteration.flops <= 10.95e12  # 12.6e12 with a backward pass on all domains


def test_activations_kept_by_one_iteration(iteration: Cost) -> None:
    """In float32 the networks keep 8.63 GiB; head and losses, which keep gradients of small logits, add 0.04."""
    networks = 6 * 1.2327 + 2 * 0.618  # per image, from the two tests above
    kept = iteration.saved_bytes / GIB
    assert kept <= 8.68  # 9.86 for the networks alone if T_d's decoder kept its maps
    assert kept - networks == pytest.approx(0.038, abs=0.002)


def test_an_iteration_of_matched_distillation() -> None:
    """M_d keeps nothing on T_d, 1.24 GiB less; the head and the correlations of 128 x 128 maps keep 1.7 GiB more."""
    model = build(CONFIG.with_name('refinenet_r101_cs2dz_matched.py'))
    cost = count_iteration(model)
    assert cost.feature_shapes == {(2, 256, 128, 128)}
    head = sum(p.numel() for p in model.projection_head.parameters())
    assert head == 256 * 256 + 256 + 256 * 64 + 64
    assert cost.flops == pytest.approx(10.58e12, abs=5e9)
    kept = cost.saved_bytes / GIB
    assert kept == pytest.approx(9.145, abs=0.04)
    assert kept - 6 * 1.2327 == pytest.approx(1.75, abs=0.04)  # three domains of the networks
