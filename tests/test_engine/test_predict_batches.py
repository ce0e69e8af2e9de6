"""How a checkpoint predicts: one loop for files, test sets and benchmarks."""

from __future__ import annotations

from typing import Any

import torch
from mmengine.config import ConfigDict
from mmengine.registry import init_default_scope
from mmseg.registry import MODELS

from mmseg_ccdistill.engine.inference import predict_batches
from mmseg_ccdistill.export.branch_export import predict_image


def make_model() -> Any:
    init_default_scope('mmseg')
    torch.manual_seed(0)
    norm = dict(type='BN')
    return MODELS.build(
        ConfigDict(
            type='EncoderDecoder',
            data_preprocessor=dict(type='SegDataPreProcessor', mean=[0.0] * 3, std=[255.0] * 3),
            backbone=dict(type='ResNet', depth=18, base_channels=4, stem_channels=4, norm_cfg=norm),
            decode_head=dict(
                type='FCNHead', in_channels=32, channels=8, num_classes=5, norm_cfg=norm
            ),
            test_cfg=dict(mode='whole'),
        )
    ).eval()


def test_batches_and_single_images_come_out_alike_without_gradients() -> None:
    model, images = make_model(), torch.randint(0, 256, (2, 3, 32, 48), dtype=torch.uint8)
    single = [predict_image(model, image, (64, 96)) for image in images]
    samples = [sample.new(metainfo=dict(sample.metainfo)) for sample in single]
    batches = [
        dict(inputs=[image], data_samples=[sample])
        for image, sample in zip(images, samples, strict=True)
    ]

    found = list(predict_batches(model, batches))

    assert [batch is given for (batch, _), given in zip(found, batches, strict=True)] == [True] * 2
    for (_, (out,)), alone in zip(found, single, strict=True):
        assert out.seg_logits.data.shape == (5, 64, 96) and not out.seg_logits.data.requires_grad
        assert out.pred_sem_seg.data.shape == (1, 64, 96)
        assert torch.equal(out.seg_logits.data, alone.seg_logits.data)
        assert torch.equal(out.pred_sem_seg.data[0], out.seg_logits.data.argmax(0))


def test_an_image_is_predicted_at_its_own_size_where_none_is_given() -> None:
    out = predict_image(make_model(), torch.zeros(3, 32, 48, dtype=torch.uint8))
    assert out.seg_logits.data.shape == (5, 32, 48)
