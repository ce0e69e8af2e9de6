from __future__ import annotations

from typing import Any

import pytest
import torch
from mmengine.registry import init_default_scope
from torch import Tensor, nn

from mmseg_ccdistill.models.decode_heads import PerPixelHead
from mmseg_ccdistill.models.segmentors.features import head_feature


def small_head(**changes: Any) -> PerPixelHead:
    init_default_scope('mmseg')
    settings = dict(in_channels=8, num_classes=5, loss_decode=dict(type='WeightedCrossEntropyLoss'))
    return PerPixelHead(**{**settings, **changes}).double()


@pytest.mark.parametrize('channels', [384, 768, 1024])
def test_parameters(channels: int) -> None:
    half, quarter = channels // 2, channels // 4
    expected = 4 * channels * half + 2 * half
    expected += 4 * half * quarter + 2 * quarter
    expected += 9 * quarter**2 + 2 * quarter
    expected += 19 * quarter + 19
    with torch.device('meta'):
        head = small_head(in_channels=channels, num_classes=19)
    stated = {384: 454_195, 768: 1_811_539, 1024: 3_218_195}
    assert sum(p.numel() for p in head.parameters()) == expected == stated[channels]


def normalised(x: Tensor, norm: nn.LayerNorm) -> Tensor:
    """Over the channels of each position, by hand."""
    centred = x - x.mean(1, keepdim=True)
    spread = (centred.square().mean(1, keepdim=True) + 1e-6).sqrt()
    return centred / spread * norm.weight.view(1, -1, 1, 1) + norm.bias.view(1, -1, 1, 1)


def doubled(x: Tensor, layer: nn.ConvTranspose2d) -> Tensor:
    """A transposed 2x2 convolution of stride 2: each pixel becomes a 2x2 block of its own."""
    blocks = torch.einsum('bchw,cdij->bdhiwj', x, layer.weight)
    b, d, h, i, w, j = blocks.shape
    return blocks.reshape(b, d, h * i, w * j)


def test_the_steps_by_hand() -> None:
    torch.manual_seed(0)
    head = small_head().eval()
    for parameter in head.parameters():
        nn.init.normal_(parameter)
    maps = [torch.zeros(0), torch.randn(2, 8, 3, 5, dtype=torch.float64)]
    x = doubled(maps[1], head.up1)
    x = nn.functional.gelu(normalised(x, head.norm1))
    x = normalised(doubled(x, head.up2), head.norm2)
    x = nn.functional.conv2d(x, head.conv.weight, padding=1)
    expected = normalised(x, head.norm3)
    assert expected.shape == (2, 2, 12, 20)
    assert torch.allclose(head_feature(head, maps), expected, atol=1e-12)
    logits = torch.einsum('bchw,kc->bkhw', expected, head.conv_seg.weight[..., 0, 0])
    logits = logits + head.conv_seg.bias.view(1, -1, 1, 1)
    assert torch.allclose(head(maps), logits, atol=1e-12)


def test_a_gradient_reaches_every_parameter() -> None:
    head = small_head().train()
    head([torch.randn(2, 8, 3, 5, dtype=torch.float64)]).square().sum().backward()
    assert all(p.grad is not None and p.grad.any() for p in head.parameters())


@pytest.mark.parametrize('channels', [6, 0, (8, 8)])
def test_a_width_that_cannot_be_quartered(channels: Any) -> None:
    with pytest.raises(ValueError, match='must be the width of one backbone map, a multiple of 4'):
        small_head(in_channels=channels)
