from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from mmengine.config import ConfigDict
from mmengine.registry import DefaultScope
from mmseg.models.segmentors import EncoderDecoder
from mmseg.registry import MODELS
from torch import nn
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

import mmseg_ccdistill  # noqa: F401
from mmseg_ccdistill.models.decode_heads import RefineNetHead
from mmseg_ccdistill.models.decode_heads.refinenet_keys import (
    convert_refinenet_keys,
    refinenet_head_keys,
    resnet_keys,
)

# Logits of the public implementation at [0, :, 8, 12] in float64, weights and input drawn by
# `public_state_dict` and `golden_input`.
GOLDEN_LOGITS = [
    -221.79607, 111.245065, -149.591708, 109.958154, 0.951787519, 33.8407546, -175.917477,
    -561.231384, 334.613827, -49.4307468, -637.363291, 82.0003532, 296.769676, -26.764578,
    -260.93945, 39.2761878, 439.883408, -246.408427, -228.354699,
]  # fmt: skip


R101 = ConfigDict(
    type='EncoderDecoder',
    data_preprocessor=dict(type='SegDataPreProcessor'),
    backbone=dict(
        type='ResNet',
        depth=101,
        num_stages=4,
        out_indices=(0, 1, 2, 3),
        strides=(1, 2, 2, 2),
        dilations=(1, 1, 1, 1),
        norm_cfg=dict(type='BN', requires_grad=True),
        norm_eval=False,
        style='pytorch',
    ),
    decode_head=dict(
        type='RefineNetHead',
        in_channels=[256, 512, 1024, 2048],
        in_index=[0, 1, 2, 3],
        channels=256,
        num_classes=19,
        loss_decode=dict(type='WeightedCrossEntropyLoss', class_weight='balanced'),
    ),
    train_cfg=dict(),
    test_cfg=dict(mode='whole'),
)


def refinenet_r101() -> EncoderDecoder:
    """On the meta device, without values."""
    with DefaultScope.overwrite_default_scope('mmseg'), torch.device('meta'):
        return MODELS.build(R101)


def public_state_dict(shapes: dict[str, torch.Size]) -> dict[str, torch.Tensor]:
    """Weights of the golden recipe by public name, float64."""
    state = {}
    for i, name in enumerate(sorted(shapes)):
        shape = shapes[name]
        kind = name.rsplit('.', 1)[1]
        if kind == 'num_batches_tracked':
            state[name] = torch.tensor(0)
        elif kind in ('running_mean', 'running_var'):
            state[name] = torch.full(shape, float(kind == 'running_var'), dtype=torch.float64)
        elif len(shape) == 4:
            values = np.random.RandomState(i).standard_normal(math.prod(shape))
            state[name] = torch.from_numpy(values / math.sqrt(math.prod(shape[1:]))).view(shape)
        elif name.startswith(('bn', 'layer')):
            state[name] = torch.full(shape, float(kind == 'weight'), dtype=torch.float64)
        else:
            values = 0.1 * np.random.RandomState(i).standard_normal(math.prod(shape))
            state[name] = torch.from_numpy(values).view(shape)
    return state


def small_head(**kwargs) -> RefineNetHead:
    settings = dict(
        in_channels=[4, 6, 8, 10],
        channels=8,
        num_classes=5,
        loss_decode=dict(type='WeightedCrossEntropyLoss'),
    )
    settings.update(kwargs)
    return RefineNetHead(**settings)


def small_maps(height: int = 17, width: int = 25, batch: int = 1) -> list[torch.Tensor]:
    maps = []
    for channels in (4, 6, 8, 10):
        maps.append(torch.randn(batch, channels, height, width))
        height, width = (height + 1) // 2, (width + 1) // 2
    return maps


def test_agrees_with_the_public_implementation() -> None:
    model = refinenet_r101()
    ours = model.state_dict()
    assert len(ours) == 712
    names = {name: f'backbone.{name}' for name in resnet_keys(101)} | refinenet_head_keys()
    state = convert_refinenet_keys(
        public_state_dict({public: ours[name].shape for public, name in names.items()})
    )
    model.load_state_dict(state, strict=True, assign=True)
    model.eval()
    values = np.random.RandomState(1000).standard_normal(3 * 65 * 97)
    with torch.no_grad():
        maps = model.backbone(torch.from_numpy(values).view(1, 3, 65, 97))
        logits = model.decode_head(maps)
    assert logits.shape == (1, 19, 17, 25)
    # The numbers have nine digits.
    np.testing.assert_allclose(logits[0, :, 8, 12].numpy(), GOLDEN_LOGITS, rtol=1e-6)
    assert logits.sum().item() == pytest.approx(-444097.319, rel=1e-6)
    assert logits.abs().sum().item() == pytest.approx(1544686.11, rel=1e-6)
    assert logits[0, 0, 0, 0].item() == pytest.approx(-28.7813338, rel=1e-6)
    assert logits[0, 18, 16, 24].item() == pytest.approx(113.211128, rel=1e-6)


def test_size_and_arithmetic_on_resnet101() -> None:
    model = refinenet_r101()
    state = model.state_dict()
    assert len(state) == 712
    assert sum(name.startswith('decode_head.') for name in state) == 88
    count = {
        name: sum(p.numel() for p in module.parameters())
        for name, module in [
            ('all', model),
            ('backbone', model.backbone),
            ('head', model.decode_head),
            ('classifier', model.decode_head.conv_seg),
            *((f'block{i}', block) for i, block in enumerate(model.decode_head.blocks)),
        ]
    }
    assert count == {
        'all': 118_047_827,
        'backbone': 42_500_160,
        'head': 75_547_667,
        'classifier': 43_795,
        'block0': 43_649_536,
        'block1': 11_797_760,
        'block2': 10_618_112,
        'block3': 9_438_464,
    }
    model.eval()
    counter = FlopCounterMode(display=False)
    with counter, torch.no_grad():
        logits = model.decode_head(model.backbone(torch.empty(1, 3, 512, 512, device='meta')))
    assert logits.shape == (1, 19, 128, 128)
    assert counter.get_total_flops() == 525_646_954_496


@pytest.mark.parametrize(
    ('height', 'width', 'gigaflops'), [(540, 960, 1042.5), (1080, 1920, 4164.3)]
)
def test_arithmetic_at_test_sizes(height: int, width: int, gigaflops: float) -> None:
    model = refinenet_r101().eval()
    counter = FlopCounterMode(display=False)
    with counter, torch.no_grad():
        model.decode_head(model.backbone(torch.empty(1, 3, height, width, device='meta')))
    assert counter.get_total_flops() / 1e9 == pytest.approx(gigaflops, abs=0.05)


def test_where_the_arithmetic_is() -> None:
    """At 512 x 512: backbone 81.5 GFLOP, the block at stride 4 309.2 of the whole 525.6."""
    model = refinenet_r101().eval()
    counter = FlopCounterMode(display=False)
    with torch.no_grad():
        with counter:
            maps = model.backbone(torch.empty(1, 3, 512, 512, device='meta'))
        assert counter.get_total_flops() / 1e9 == pytest.approx(81.5, abs=0.05)
        counter = FlopCounterMode(display=False)
        with counter:
            model.decode_head.blocks[3](maps[0], torch.empty(1, 256, 128, 128, device='meta'))
        assert counter.get_total_flops() / 1e9 == pytest.approx(309.2, abs=0.05)


def test_last_feature_is_what_the_classifier_reads() -> None:
    torch.manual_seed(0)
    head, maps = small_head().eval(), small_maps()
    feature = head._forward_feature(maps)
    assert feature.shape == (1, 8, 17, 25)
    expected = F.conv2d(feature, head.conv_seg.weight, head.conv_seg.bias, padding=1)
    torch.testing.assert_close(head(maps), expected)


def test_pooling_comes_before_the_convolution() -> None:
    """One positive impulse and an all-ones kernel: pooling first widens its support to 7 x 7."""
    head = small_head(num_crp_stages=1)
    crp = head.blocks[0].crp
    nn.init.ones_(crp.convs[0].weight)
    x = torch.zeros(1, 16, 15, 15)
    x[0, 0, 7, 7] = 1
    link = (crp(x) - x)[0, 0]
    assert link[7, 7] == 9  # all of the 3 x 3 window sees the pooled impulse
    assert link[4, 7] == 3  # at the rim of the 5 x 5 pool plus one row of the kernel
    assert link[3, 7] == 0


def test_residual_unit_is_preactivated_with_one_bias() -> None:
    unit = small_head().blocks[0].input_rcus[0]
    assert unit.conv1.bias is not None and unit.conv2.bias is None
    nn.init.zeros_(unit.conv1.weight)
    nn.init.constant_(unit.conv1.bias, 2.0)
    nn.init.constant_(unit.conv2.weight, 1.0)
    x = torch.full((1, 16, 3, 3), -1.0)
    # conv1 sees zeros and gives its bias 2; conv2 sums 2 over 9 positions and 16 channels.
    assert unit(x)[0, 0, 1, 1] == -1 + 2 * 9 * 16


def test_dropout_is_elementwise_on_the_two_deepest_maps_and_the_classifier() -> None:
    head = small_head()
    assert type(head.dropout) is nn.Dropout and head.dropout.p == 0.5
    seen: list[torch.Size] = []
    head.dropout.register_forward_hook(lambda module, args, output: seen.append(args[0].shape[1:]))
    head(small_maps())
    assert seen == [(10, 3, 4), (8, 5, 7), (8, 17, 25)]
    assert small_head(dropout_ratio=0).dropout is None


def test_inputs_stay_as_they_are() -> None:
    """The maps are distilled too: neither dropout nor an in-place ReLU may change them."""
    torch.manual_seed(0)
    head, maps = small_head().train(), small_maps()
    copies = [m.clone() for m in maps]
    head(maps)
    for m, copy in zip(maps, copies, strict=True):
        assert torch.equal(m, copy)


def test_only_channels_and_classes_are_required() -> None:
    head = RefineNetHead([4, 6], num_classes=3)
    assert head.align_corners and head.channels == 256
    assert [block.dimred.out_channels for block in head.blocks] == [512, 256]
    assert head.loss_decode.loss_name == 'loss_ce'


@pytest.mark.parametrize('levels', [2, 3])
def test_other_depths_and_widths(levels: int) -> None:
    head = small_head(
        in_channels=[4, 6, 8][:levels],
        channels=6,
        block_channels=[12, 8, 6][3 - levels :],
        num_input_rcus=1,
        num_output_rcus=0,
        num_crp_stages=2,
        pool_size=3,
    ).eval()
    maps = small_maps()[:levels]
    assert head(maps).shape == (1, 5, 17, 25)
    assert head.in_index == list(range(levels))


def test_every_parameter_gets_a_gradient() -> None:
    torch.manual_seed(0)
    head = small_head().train()
    logits = head(small_maps(batch=2))
    loss = head.loss_decode(logits, torch.randint(0, 5, (2, 17, 25)), ignore_index=255)
    loss.backward()
    without = [n for n, p in head.named_parameters() if p.grad is None or not p.grad.any()]
    assert without == []


def test_channels_last_stays_channels_last() -> None:
    torch.manual_seed(0)
    head = small_head().eval().to(memory_format=torch.channels_last)
    maps = [m.to(memory_format=torch.channels_last) for m in small_maps(batch=2)]
    formats: dict[str, bool] = {}

    def note(name: str):
        def hook(module: nn.Module, args: object, output: torch.Tensor) -> None:
            formats[name] = output.is_contiguous(memory_format=torch.channels_last)

        return hook

    for name, module in head.named_modules():
        if isinstance(module, (nn.Conv2d, nn.MaxPool2d)):
            module.register_forward_hook(note(name))
    logits = head(maps)
    assert [name for name, ok in formats.items() if not ok] == []
    torch.testing.assert_close(
        logits, head.to(memory_format=torch.contiguous_format)([m.contiguous() for m in maps])
    )


@pytest.mark.parametrize(
    ('kwargs', 'message'),
    [
        (dict(in_channels=[8]), 'at least two'),
        (dict(in_channels=2048), 'at least two'),
        (dict(block_channels=[16, 8]), '4 widths'),
        (dict(block_channels=[16, 8, 8, 4]), 'channels=8'),
        (dict(pool_size=4), 'odd'),
        (dict(input_transform='resize_concat'), 'multiple_select'),
    ],
)
def test_bad_settings_are_refused(kwargs: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        small_head(**kwargs)
