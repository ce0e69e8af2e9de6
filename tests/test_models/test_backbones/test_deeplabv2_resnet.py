from __future__ import annotations

from typing import Any

import pytest
import torch
from mmseg.models.backbones import ResNet
from torch import Tensor
from torch.nn import functional as F

from mmseg_ccdistill.models.backbones import DeepLabV2ResNet

OUTPUT_STRIDE_8: dict[str, Any] = dict(strides=(1, 2, 1, 1), dilations=(1, 1, 2, 4))


def small(style: str = 'pytorch', **kwargs: Any) -> DeepLabV2ResNet:
    return DeepLabV2ResNet(
        depth=50,
        base_channels=4,
        stem_channels=4,
        style=style,
        contract_dilation=False,
        **OUTPUT_STRIDE_8,
        **kwargs,
    )


def forward_by_name(state: dict[str, Tensor], x: Tensor, style: str) -> list[Tensor]:
    """DeepLab-v2's ResNet-50 in evaluation mode, written down from its state dict."""

    def norm(x: Tensor, name: str) -> Tensor:
        return F.batch_norm(
            x,
            state[f'{name}.running_mean'],
            state[f'{name}.running_var'],
            state[f'{name}.weight'],
            state[f'{name}.bias'],
        )

    x = F.relu(norm(F.conv2d(x, state['conv1.weight'], stride=2, padding=3), 'bn1'))
    x = F.max_pool2d(x, 3, stride=2, padding=1, ceil_mode=True)
    maps = []
    for stage, (blocks, stage_stride, dilation) in enumerate(
        [(3, 1, 1), (4, 2, 1), (6, 1, 2), (3, 1, 4)], start=1
    ):
        for block in range(blocks):
            name = f'layer{stage}.{block}'
            stride = stage_stride if block == 0 else 1
            strides = (stride, 1) if style == 'caffe' else (1, stride)
            y = F.conv2d(x, state[f'{name}.conv1.weight'], stride=strides[0])
            y = F.relu(norm(y, f'{name}.bn1'))
            y = F.conv2d(
                y,
                state[f'{name}.conv2.weight'],
                stride=strides[1],
                padding=dilation,
                dilation=dilation,
            )
            y = F.relu(norm(y, f'{name}.bn2'))
            y = norm(F.conv2d(y, state[f'{name}.conv3.weight']), f'{name}.bn3')
            if block == 0:
                shortcut = F.conv2d(x, state[f'{name}.downsample.0.weight'], stride=stride)
                x = norm(shortcut, f'{name}.downsample.1')
            x = F.relu(x + y)
        maps.append(x)
    return maps


@pytest.mark.parametrize('style', ['pytorch', 'caffe'])
def test_is_the_network_of_deeplab_v2(style: str) -> None:
    """Stride 8, dilation 2 and 4 in every block; released weights stride in the 1x1, torchvision's in the 3x3."""
    torch.manual_seed(0)
    model = small(style).double()
    model.eval()
    state = model.state_dict()
    for name, value in state.items():
        if name.endswith('running_var'):
            value.uniform_(0.5, 1.5)
        elif value.ndim == 1:
            value.normal_(1.0 if name.endswith('weight') else 0.0, 0.2)
    images = torch.randn(2, 3, 61, 77, dtype=torch.float64)
    with torch.no_grad():
        maps = model(images)
        expected = forward_by_name(state, images, style)
    assert len(maps) == len(expected) == 4
    for ours, theirs in zip(maps, expected, strict=True):
        torch.testing.assert_close(ours, theirs)


@pytest.mark.parametrize(
    ('size', 'maps'),
    [
        # Pooling that rounds up makes an odd map of an even one; 65 at 512 is DeepLab's well-known size.
        ((512, 512), [(129, 129), (65, 65), (65, 65), (65, 65)]),
        ((540, 960), [(136, 241), (68, 121), (68, 121), (68, 121)]),
        ((64, 64), [(17, 17), (9, 9), (9, 9), (9, 9)]),
        ((61, 61), [(16, 16), (8, 8), (8, 8), (8, 8)]),
    ],
)
def test_sizes_of_its_maps(size: tuple[int, int], maps: list[tuple[int, int]]) -> None:
    with torch.device('meta'):
        model = small()
        outputs = model(torch.empty(1, 3, *size))
    assert [tuple(m.shape[2:]) for m in outputs] == maps
    assert [m.shape[1] for m in outputs] == [16, 32, 64, 128]


def test_takes_the_weights_of_a_plain_resnet() -> None:
    with torch.device('meta'):
        model = DeepLabV2ResNet(depth=101, **OUTPUT_STRIDE_8)
        plain = ResNet(depth=101)
    shapes = {name: value.shape for name, value in plain.state_dict().items()}
    assert {name: value.shape for name, value in model.state_dict().items()} == shapes
    assert sum(p.numel() for p in model.parameters()) == 42_500_160  # torchvision's without its fc
