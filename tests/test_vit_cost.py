"""What an iteration of the DINOv2 and DINOv3 configs costs, counted on the meta device as in test_cost.py.

Attention is counted with a fused kernel, which is what runs on a GPU: it keeps q, k, v and one number for each row, not
the matrix of weights. The numbers are those of docs/backbones.md.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any
from unittest import mock

import pytest
import torch
from mmengine.config import Config
from test_cost import CONFIG, GIB, build, count_iteration
from timm_there import needs_timm
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.iteration_cost import build as build_config

PAGE = Path(__file__).resolve().parents[1] / 'docs/backbones.md'

#: Patches of a 512 crop, and tokens before them: the class token, and DINOv3's four registers.
PATCHES, PREFIX = 1024, dict(dinov2=1, dinov3=5)


def fused(q: Tensor, k: Tensor, v: Tensor, **settings: Any) -> Tensor:
    """The memory-efficient kernel, with what its backward pass needs."""
    assert not any(settings.values())  # neither mask nor dropout
    return torch.ops.aten._scaled_dot_product_efficient_attention(q, k, v, None, True)[0]


def network(name: str) -> nn.Module:
    return build(CONFIG.with_name(f'{name}_rein_cs2dz.py'))


def vit_flops(tokens: int, width: int, layers: int) -> int:
    """Patch kernel, linear layers and the two products of attention."""
    block = 2 * tokens * 12 * width**2 + 4 * tokens**2 * width
    return 2 * PATCHES * 3 * 16**2 * width + layers * block


def rein_flops(width: int, layers: int) -> int:
    """Tokens from their factors, shares, sums of 99 tokens, and the two linear layers."""
    products = 2 * 100 * 16 * width + 2 * PATCHES * (100 + 99) * width
    return layers * (products + 2 * 99 * width**2 + 2 * PATCHES * width**2)


CONFIGS = {
    'dinov2_vit-s': (384, 12, 63.5, 1.415, 2.135),
    'dinov2_vit-b': (768, 12, 214.1, 4.528, 4.32),
    'dinov2_vit-l': (1024, 24, 724.0, 14.714, 11.40),
    # Four tokens more; rotated queries and keys beside those of the linear layer.
    'dinov3_vit-s': (384, 12, 63.8, 1.421, 2.40),
    'dinov3_vit-b': (768, 12, 215.0, 4.546, 4.85),
    'dinov3_vit-l': (1024, 24, 727.2, 14.774, 12.87),
}


@pytest.mark.parametrize(
    'name',
    [
        pytest.param(name, marks=[pytest.mark.slow] * ('-s' not in name))
        for name in CONFIGS
        if 'v2' in name
    ],
)
def test_an_iteration_with_recomputed_blocks(name: str) -> None:
    if torch.__version__ < '2.3':
        pytest.skip('torch 2.1 cannot recompute on the meta device')
    *_, plain_tera, plain_gib = CONFIGS[name]
    config = Config.fromfile(str(CONFIG.with_name(f'{name}_rein_cs2dz.py')))
    config.model.recompute = ('FusedEncoderLayer',)
    with mock.patch('torch.nn.functional.scaled_dot_product_attention', fused):
        cost = count_iteration(build_config(config))
    assert cost.saved_bytes / GIB < 0.45 * plain_gib
    row = (
        f'| `{name}_rein`, blocks recomputed | {cost.saved_bytes / GIB:.2f} GiB | '
        f'{cost.flops / 1e12 / plain_tera:.2f} |'
    )
    assert row in PAGE.read_text()


@pytest.mark.parametrize(
    'name',
    [
        pytest.param(
            name, marks=[needs_timm] * ('v3' in name) + [pytest.mark.slow] * ('-s' not in name)
        )
        for name in CONFIGS
    ],
)
def test_an_iteration(name: str) -> None:
    width, layers, plain_giga, iteration_tera, kept_gib = CONFIGS[name]
    tokens = PATCHES + PREFIX[name.split('_')[0]]
    model = network(name)
    with mock.patch('torch.nn.functional.scaled_dot_product_attention', fused):
        with torch.no_grad(), FlopCounterMode(display=False) as counter:
            model.night.backbone(torch.empty(1, 3, 512, 512, device='meta'))
        cost = count_iteration(model)
    plain = vit_flops(tokens, width, layers) / 1e9
    assert plain == pytest.approx(plain_giga, abs=0.5)  # counted with timm
    forward = vit_flops(tokens, width, layers) + rein_flops(width, layers)
    assert counter.get_total_flops() == forward
    assert cost.feature_shapes == {(2, width, 32, 32)}
    assert cost.flops / 1e12 == pytest.approx(iteration_tera, abs=0.005)
    assert cost.saved_bytes / GIB == pytest.approx(kept_gib, abs=0.05)
    vit = sum(value.numel() for value in model.day.backbone.vit.state_dict().values())
    trained = sum(parameter.numel() for parameter in model.parameters())
    held = {
        id(t): t.numel() for t in (*model.parameters(), *model.buffers()) if t.is_floating_point()
    }
    assert sum(held.values()) - vit - trained < 100  # class weights
    rows = [line for line in PAGE.read_text().splitlines() if f'| `{name}_rein`' in line]
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
