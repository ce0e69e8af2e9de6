"""The widths of a backbone are found at a size that it takes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from mmseg.models.backbones import VisionTransformer
from mmseg.registry import MODELS
from torch import Tensor


@MODELS.register_module(force=True)
class StrictVisionTransformer(VisionTransformer):
    """Takes only whole patches, as DINOv2 does."""

    seen: list[tuple[int, ...]] = []

    def forward(self, inputs: Tensor) -> tuple[Tensor, ...]:
        self.seen.append(tuple(inputs.shape[2:]))
        side = self.patch_size
        if inputs.shape[-1] % side:
            raise AssertionError(f'{inputs.shape[-1]} is no multiple of {side}')
        return super().forward(inputs)


def patches_of_14(kind: str) -> dict[str, Any]:
    return dict(
        type='EncoderDecoder',
        backbone=dict(
            type=kind,
            img_size=56,
            patch_size=14,
            embed_dims=24,
            num_layers=2,
            num_heads=2,
            out_indices=(0, 1),
        ),
        decode_head=dict(
            type='FCNHead',
            in_channels=24,
            in_index=1,
            channels=8,
            num_convs=1,
            concat_input=False,
            num_classes=19,
            loss_decode=dict(type='WeightedCrossEntropyLoss'),
        ),
        train_cfg=dict(),
        test_cfg=dict(mode='whole'),
    )


def preprocessor(*size: int) -> dict[str, Any]:
    return dict(type='CrossDomainPreprocessor', mean=[127.5] * 3, std=[60.0] * 3, size=size)


@pytest.mark.parametrize('kind', ['VisionTransformer', 'StrictVisionTransformer'])
def test_patches_of_14_are_probed_at_the_size_of_training(build: Callable, kind: str) -> None:
    StrictVisionTransformer.seen.clear()
    model = build(
        segmentor=patches_of_14(kind),
        data_preprocessor=preprocessor(42, 56),
        projection_head=dict(type='ProjectionHead', in_channels=24, out_channels=8),
    )
    assert model.projection_head is not None
    if kind == 'StrictVisionTransformer':
        assert StrictVisionTransformer.seen == [(64, 64), (42, 56)]
    assert model.day.backbone.training
    with pytest.raises(ValueError, match='has 24 channels'):
        build(segmentor=patches_of_14(kind), data_preprocessor=preprocessor(42, 56))


@pytest.mark.parametrize(('size', 'tried'), [((70, 66), '66x70'), ((), '64x64')])
def test_a_size_that_the_backbone_does_not_take_is_named(build: Callable, size, tried) -> None:
    settings = preprocessor(*size)
    if not size:
        settings.update(size=None, size_divisor=32)
    with pytest.raises(ValueError) as raised:
        build(
            segmentor=patches_of_14('StrictVisionTransformer'),
            data_preprocessor=settings,
            projection_head=dict(type='ProjectionHead', in_channels=24),
        )
    where = ', model.data_preprocessor.size,' if size else ''
    assert str(raised.value) == (
        f'StrictVisionTransformer does not take an image of {tried} pixels{where} ({tried[:2]} is no multiple of 14): '
        'expected a size that it takes, for example a multiple of its patches; set model.data_preprocessor.size and '
        'the crops of the training pipelines to one.'
    )
