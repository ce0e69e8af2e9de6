"""Texts of the configs that ``ccdistill own-data`` writes; ``docs/own_classes.md`` shows them."""

from __future__ import annotations

from string import Template

SOURCE = Template("""\
_base_ = [
    '$base/_base_/models/refinenet_small.py',
    '$base/_base_/test_time_augmentation.py',
    '$base/_base_/schedules/schedule_mini.py',
    '$base/_base_/default_runtime.py',
]
classes = $classes  # the ids 0, 1, ... of the label files
palette = $palette
# class_balance_weights($shares): the share of each class among the labelled pixels
class_weight = $class_weight
data_root = $root
labelled = dict(
    type='BaseSegDataset',
    data_root=data_root,
    img_suffix='$suffix',
    seg_map_suffix='.png',
    metainfo=dict(classes=classes, palette=palette),
)
# What the network sees: the long side at about 512 pixels, a crop of it in training.
test_size = dict(type='Resize', scale=(512, 512), keep_ratio=True)
augment = [
    dict(type='RandomResize', scale=(512, 512), ratio_range=(0.75, 1.25), keep_ratio=True),
    dict(type='RandomCrop', crop_size=(128, 128)),
    dict(type='RandomFlip', prob=0.5),
]
source = dict(
    labelled,
    data_prefix=dict(img_path='day/images', seg_map_path='day/labels'),
    pipeline=[dict(type='LoadImageFromFile'), dict(type='LoadAnnotations'), *augment],
)
train_dataloader = dict(
    batch_size=2,
    num_workers=0,
    sampler=dict(type='DrawSampler'),
    dataset=dict(
        type='DrawnDataset',
        dataset=dict(source, pipeline=[*source['pipeline'], dict(type='PackSegInputs')]),
    ),
)
val_dataloader = dict(
    batch_size=1,
    num_workers=0,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        labelled,
$tested
        pipeline=[
            dict(type='LoadImageFromFile'),
            test_size,
            dict(type='LoadAnnotations'),
            dict(type='PackSegInputs'),
        ],
    ),
)
test_dataloader = val_dataloader
tta_pipeline = [dict(type='LoadImageFromFile'), test_size, _base_.tta_augment]  # test --tta
val_evaluator = dict(type='IoUMetric', iou_metrics=['mIoU'])
test_evaluator = val_evaluator
model = _base_.refinenet_small
model.decode_head.num_classes = len(classes)
model.decode_head.loss_decode.class_weight = class_weight
""")

#: The images that the network is tested on.
NIGHTS = "        data_prefix=dict(img_path='night/images', seg_map_path='night/labels'),"
DAYS_AGAIN = """\
        # No labelled nights: these are the days that it trains on. Their mIoU says nothing of the night.
        data_prefix=dict(img_path='day/images', seg_map_path='day/labels'),"""

ADAPTATION = Template("""\
_base_ = './${name}_source.py'
model = dict(
    _delete_=True,
    type='CCDistillSegmentor',
    data_preprocessor=dict(_base_.model.data_preprocessor, type='CrossDomainPreprocessor'),
    segmentor=_base_.model,
    projection_head=dict(type='ProjectionHead', in_channels=256),
    loss_cdc=dict(type='CDCLoss', loss_weight=2.0),
    loss_cds=dict(type='CDSLoss', loss_weight=1.0),
    loss_pseudo=dict(
        type='StaticLoss',
        classes=_base_.classes,
        static_classes=$static,
        class_weight=_base_.class_weight,
    ),
)
train_dataloader = dict(
    dataset=dict(
        _delete_=True,
        type='CrossDomainDataset',
        source=_base_.source,
        target=dict(
            type='DayNightPairDataset',
            data_root=_base_.data_root,
            img_suffix='$suffix',
            ann_file='pairs.csv',
            pipeline=[dict(type='LoadImageFromFile'), *_base_.augment],
        ),
        pipeline=[dict(type='LABTransfer'), dict(type='PackCrossDomainInputs')],
    ),
)
load_from = 'work_dirs/${name}_source/iter_600.pth'
""")

MATCHED = Template("""\
_base_ = './${name}.py'
model = dict(
    distill_into='target_night',
    feature='decode_head',
    projection_head=dict(in_channels=32, out_channels=64, embedding_norm='whiten'),
    loss_cdc=dict(js_tau=0.1, js_positions=2.5, parallax=1),
)
""")
