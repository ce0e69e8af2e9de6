"""Files of small adaptation runs: config and checkpoint, as the training tool leaves them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config
from mmengine.logging import MessageHub
from mmengine.registry import init_default_scope
from mmseg.datasets import CityscapesDataset
from mmseg.registry import MODELS

import mmseg_ccdistill  # noqa: F401
from mmseg_ccdistill.runtime.checkpoint_file import OWN_KEY
from mmseg_ccdistill.runtime.checkpoint_values import to_plain

LOSS = dict(type='WeightedCrossEntropyLoss', class_weight='balanced')
REFINENET = dict(
    type='EncoderDecoder',
    backbone=dict(type='ResNet', depth=18, base_channels=8, stem_channels=8, style='pytorch'),
    decode_head=dict(
        type='RefineNetHead',
        in_channels=[8, 16, 32, 64],
        channels=8,
        block_channels=(16, 8, 8, 8),
        num_classes=19,
        loss_decode=LOSS,
    ),
    test_cfg=dict(mode='whole'),
)
#: Parts of mmseg alone, but for the training losses; slide inference, initial weights that are not there.
SEGFORMER = dict(
    type='EncoderDecoder',
    pretrained=None,
    backbone=dict(
        type='MixVisionTransformer',
        embed_dims=8,
        num_layers=[1, 1, 1, 1],
        num_heads=[1, 1, 2, 2],
        init_cfg=dict(type='Pretrained', checkpoint='nowhere/mit.pth'),
    ),
    decode_head=dict(
        type='SegformerHead',
        in_channels=[8, 8, 16, 16],
        in_index=[0, 1, 2, 3],
        channels=16,
        num_classes=19,
        norm_cfg=dict(type='BN'),
        loss_decode=[LOSS],
    ),
    auxiliary_head=dict(
        type='FCNHead',
        in_channels=16,
        in_index=2,
        channels=8,
        num_classes=19,
        norm_cfg=dict(type='BN'),
        loss_decode=dict(LOSS, loss_weight=0.4),
    ),
    test_cfg=dict(mode='slide', crop_size=(64, 64), stride=(48, 48)),
)
WIDTHS = {'RefineNetHead': 64, 'SegformerHead': 16}


def run_config(segmentor: dict[str, Any], data_root: str = 'data/dark_zurich') -> Config:
    """Config of a CCDistill run with everything that a shipped one has around the model."""
    head = segmentor['decode_head']['type']
    pipeline = [
        dict(type='LoadImageFromFile'),
        dict(type='Resize', scale=(96, 54), keep_ratio=True),
        dict(type='LoadAnnotations'),
        dict(type='PackSegInputs'),
    ]
    loader = dict(
        batch_size=1,
        num_workers=0,
        sampler=dict(type='DefaultSampler', shuffle=False),
        dataset=dict(
            type='DarkZurichDataset',
            data_root=data_root,
            data_prefix=dict(img_path='rgb_anon/val/night', seg_map_path='gt/val/night'),
            pipeline=pipeline,
        ),
    )
    return Config(
        dict(
            default_scope='mmseg',
            custom_imports=dict(imports=['mmseg_ccdistill'], allow_failed_imports=False),
            model=dict(
                type='CCDistillSegmentor',
                data_preprocessor=dict(
                    type='CrossDomainPreprocessor',
                    mean=[123.675, 116.28, 103.53],
                    std=[58.395, 57.12, 57.375],
                    bgr_to_rgb=True,
                    size=(64, 64),
                ),
                segmentor=segmentor,
                projection_head=dict(type='ProjectionHead', in_channels=WIDTHS[head]),
                loss_cdc=dict(type='CDCLoss'),
                loss_cds=dict(type='CDSLoss'),
                loss_pseudo=dict(type='StaticLoss'),
            ),
            train_dataloader=dict(
                dataset=dict(type='CrossDomainDataset', source=None, target=None)
            ),
            train_cfg=dict(type='IterBasedTrainLoop', max_iters=2),
            optim_wrapper=dict(type='OptimWrapper', optimizer=dict(type='SGD', lr=0.01)),
            test_pipeline=pipeline,
            test_dataloader=loader,
            test_evaluator=dict(type='IoUMetric', iou_metrics=['mIoU']),
            test_cfg=dict(type='TestLoop'),
            default_hooks=dict(
                progress=dict(type='RichProgressHook', interval=50),
                visualization=dict(type='SegVisualizationHook'),
            ),
            vis_backends=[dict(type='LocalVisBackend')],
            visualizer=dict(
                type='SegLocalVisualizer',
                vis_backends=[dict(type='LocalVisBackend')],
                name='visualizer',
            ),
            custom_hooks=[dict(type='DatasetCheckHook')],
            load_from='work_dirs/source/iter_2.pth',
        )
    )


def build(config: Config) -> torch.nn.Module:
    """The model in eval mode, every weight and statistic drawn anew, so the branches differ."""
    init_default_scope('mmseg')
    torch.manual_seed(0)
    model = MODELS.build(config.model)
    generator = torch.Generator().manual_seed(1)
    for name, value in model.state_dict().items():
        if value.is_floating_point():
            noise = torch.rand(value.shape, generator=generator)
            value.copy_(0.5 + noise if 'var' in name else value + 0.2 * (noise - 0.5))
    return model.eval()


def save(model: torch.nn.Module, path: Path) -> None:
    """A checkpoint as a run leaves it: weights, classes, the log."""
    hub = MessageHub(f'run_{path}')
    hub.update_scalar('train/loss', 0.5)
    meta = {OWN_KEY: '0.1.0', 'iter': 2, 'dataset_meta': dict(CityscapesDataset.METAINFO)}
    checkpoint = dict(meta=meta, state_dict=model.state_dict(), message_hub=hub.state_dict())
    torch.save(to_plain(checkpoint), path)
