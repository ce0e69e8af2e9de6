"""What an iteration of the DINOv2 configs costs, counted on the meta device as in test_cost.py.

Attention is counted with a fused kernel, which is what runs on a GPU: it keeps q, k, v and one number for each row, not
the matrix of weights. The numbers are those of docs/backbones.md.
"""

from __future__ import annotations

from pathlib import Path
from unittest import mock

import pytest
import torch
from test_cost import CONFIG, GIB, build, count_iteration
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

PAGE = Path(__file__).resolve().parents[1] / 'docs/backbones.md'

#: Patches of a 512 crop, and with the class token.
PATCHES, TOKENS = 1024, 1025


def fused(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """The memory-efficient kernel, with what its backward pass needs."""
    return torch.ops.aten._scaled_dot_product_efficient_attention(q, k, v, None, True)[0]


def dinov2(size: str) -> nn.Module:
    return build(CONFIG.with_name(f'dinov2_vit-{size}_rein_cs2dz.py'))


def vit_flops(width: int, layers: int) -> int:
    """Patch kernel, linear layers and the two products of attention."""
    block = 2 * TOKENS * 12 * width**2 + 4 * TOKENS**2 * width
    return 2 * PATCHES * 3 * 16**2 * width + layers * block


def rein_flops(width: int, layers: int) -> int:
    """Tokens from their factors, shares, sums of 99 tokens, and the two linear layers."""
    products = 2 * 100 * 16 * width + 2 * PATCHES * (100 + 99) * width
    return layers * (products + 2 * 99 * width**2 + 2 * PATCHES * width**2)


@pytest.mark.parametrize(
    ('size', 'width', 'layers', 'plain_giga', 'iteration_tera', 'kept_gib'),
    [
        ('s', 384, 12, 63.5, 1.415, 2.135),
        pytest.param('b', 768, 12, 214.1, 4.528, 4.32, marks=pytest.mark.slow),
        pytest.param('l', 1024, 24, 724.0, 14.714, 11.40, marks=pytest.mark.slow),
    ],
)
def test_an_iteration(
    size: str, width: int, layers: int, plain_giga: float, iteration_tera: float, kept_gib: float
) -> None:
    model = dinov2(size)
    with mock.patch('torch.nn.functional.scaled_dot_product_attention', fused):
        with torch.no_grad(), FlopCounterMode(display=False) as counter:
            model.night.backbone(torch.empty(1, 3, 512, 512, device='meta'))
        cost = count_iteration(model)
    assert vit_flops(width, layers) / 1e9 == pytest.approx(plain_giga, abs=0.5)  # counted with timm
    forward = vit_flops(width, layers) + rein_flops(width, layers)
    assert counter.get_total_flops() == forward
    assert cost.feature_shapes == {(2, width, 32, 32)}
    assert cost.flops / 1e12 == pytest.approx(iteration_tera, abs=0.005)
    assert cost.saved_bytes / GIB == pytest.approx(kept_gib, abs=0.05)
    vit = sum(buffer.numel() for buffer in model.day.backbone.vit.buffers())
    trained = sum(parameter.numel() for parameter in model.parameters())
    held = {
        id(t): t.numel() for t in (*model.parameters(), *model.buffers()) if t.is_floating_point()
    }
    assert sum(held.values()) - vit - trained < 100  # class weights
    rows = [line for line in PAGE.read_text().splitlines() if f'| `dinov2_vit-{size}_rein`' in line]
    row = next(line for line in rows if 'TFLOP' in line)
    cells = [cell.strip() for cell in row.strip('|').split('|')]
    assert cells[1:] == [
        f'{vit / 1e6:.1f} M',
        f'{trained / 1e6:.2f} M',
        f'{4 * (vit + trained) / GIB:.2f} GiB',
        f'{forward / 1e9:.1f} GFLOP',
        f'{cost.flops / 1e12:.2f} TFLOP',
        f'{cost.saved_bytes / GIB:.2f} GiB',
    ]
