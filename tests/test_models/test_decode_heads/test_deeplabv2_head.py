from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from mmengine.config import ConfigDict
from mmengine.registry import init_default_scope
from mmengine.structures import PixelData
from mmseg.registry import MODELS
from mmseg.structures import SegDataSample
from torch.nn import functional as F

from mmseg_ccdistill.models.decode_heads import DeepLabV2Head


def small_head(**kwargs: Any) -> DeepLabV2Head:
    settings = dict(
        in_channels=6,
        num_classes=5,
        loss_decode=dict(type='WeightedCrossEntropyLoss'),
    )
    settings.update(kwargs)
    init_default_scope('mmseg')
    return DeepLabV2Head(**settings)


def test_size_and_start_of_the_published_head() -> None:
    """AdaptSegNet and DANNet: four 3x3 convolutions of 2048 to 19 channels with bias, weights from N(0, 0.01)."""
    head = small_head(in_channels=2048, num_classes=19)
    head.init_weights()
    assert sum(p.numel() for p in head.parameters()) == 4 * (2048 * 19 * 9 + 19) == 1_400_908
    assert len(head.state_dict()) == 8
    for name, parameter in head.named_parameters():
        if name.endswith('bias'):
            assert not parameter.any()
            continue
        # 350,208 draws: the mean and the deviation are known to about 0.5 %.
        assert abs(parameter.mean().item()) < 5 * 0.01 / math.sqrt(parameter.numel())
        assert parameter.std().item() == pytest.approx(0.01, rel=0.01)


@pytest.mark.parametrize(('num_active', 'dilations'), [(None, (6, 12, 18, 24)), (2, (6, 12))])
def test_reaches_as_far_as_its_dilations(
    num_active: int | None, dilations: tuple[int, ...]
) -> None:
    """The answer to one pixel: its own place, and eight neighbours at each active dilation."""
    head = small_head(num_active=num_active).double().eval()
    for parameter in head.parameters():
        torch.nn.init.constant_(parameter, 1.0 if parameter.ndim == 4 else 0.0)
    image = torch.zeros(1, 6, 65, 65, dtype=torch.float64)
    image[0, 0, 32, 32] = 1.0
    logits = head([image])
    assert logits.shape == (1, 5, 65, 65)
    expected = torch.zeros(65, 65, dtype=torch.float64)
    for dilation in dilations:
        for dy in (-dilation, 0, dilation):
            for dx in (-dilation, 0, dilation):
                expected[32 + dy, 32 + dx] += 1.0
    torch.testing.assert_close(logits[0], expected.expand(5, -1, -1), rtol=0, atol=0)


@pytest.mark.parametrize('num_active', [1, 2, 3, 4])
def test_sums_its_first_branches(num_active: int) -> None:
    torch.manual_seed(0)
    head = small_head(num_active=num_active).double().train()
    features = torch.randn(2, 6, 9, 11, dtype=torch.float64)
    state = list(head.state_dict().values())  # weight, bias of each branch in turn
    expected = sum(
        F.conv2d(features, state[2 * i], state[2 * i + 1], padding=d, dilation=d)
        for i, d in enumerate((6, 12, 18, 24)[:num_active])
    )
    logits = head([features])
    torch.testing.assert_close(logits, expected)
    # What is not summed keeps its weights but is not trained: DDP and weight decay never see it.
    logits.square().sum().backward()
    active = {name for name, p in head.named_parameters() if p.requires_grad}
    assert active == {name for name, p in head.named_parameters() if p.grad is not None}
    assert len(active) == 2 * num_active and len(head.state_dict()) == 8


def test_reads_the_map_of_its_index_and_has_a_feature() -> None:
    torch.manual_seed(0)
    head = small_head(in_index=1).eval()
    maps = [torch.randn(1, 3, 16, 16), torch.randn(1, 6, 8, 8)]
    assert head._forward_feature(maps) is maps[1]
    assert head.conv_seg.in_channels == head.channels == 6
    torch.testing.assert_close(head(maps), head.conv_seg(maps[1]))


def test_works_with_mmseg_training_and_prediction() -> None:
    torch.manual_seed(0)
    init_default_scope('mmseg')
    model = MODELS.build(
        ConfigDict(
            type='EncoderDecoder',
            backbone=dict(
                type='DeepLabV2ResNet',
                depth=18,
                base_channels=4,
                stem_channels=4,
                strides=(1, 2, 1, 1),
                dilations=(1, 1, 2, 4),
            ),
            decode_head=dict(
                type='DeepLabV2Head',
                in_channels=32,
                in_index=3,
                num_classes=19,
                loss_decode=dict(type='WeightedCrossEntropyLoss', class_weight='balanced'),
            ),
            train_cfg=dict(),
            test_cfg=dict(mode='whole'),
        )
    )
    model.init_weights()
    sample = SegDataSample(
        metainfo=dict(img_shape=(64, 64), ori_shape=(64, 64), pad_shape=(64, 64))
    )
    sample.gt_sem_seg = PixelData(data=torch.randint(0, 19, (1, 64, 64)))
    images = torch.randn(2, 3, 64, 64)
    losses = model.loss(images, [sample, sample])
    # Weights of 0.01 hardly tell the classes apart at the start.
    assert losses['decode.loss_seg'].item() == pytest.approx(math.log(19), abs=0.1)
    losses['decode.loss_seg'].backward()
    assert all(p.grad is not None for p in model.decode_head.parameters())
    model.eval()
    with torch.no_grad():
        assert model(images, mode='tensor').shape == (2, 19, 9, 9)
        (first, _) = model.predict(images, [sample, sample])
    assert first.pred_sem_seg.data.shape == (1, 64, 64)


@pytest.mark.parametrize(
    ('settings', 'message'),
    [
        (dict(in_channels=[3, 6]), 'in_channels must be the width of one backbone map'),
        (dict(num_active=0), 'num_active must be from 1 to 4'),
        (dict(num_active=5), 'num_active must be from 1 to 4'),
        (dict(dilations=(6, 12), num_active=3), 'num_active must be from 1 to 2'),
    ],
)
def test_a_wrong_argument_is_named(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        small_head(**settings)
