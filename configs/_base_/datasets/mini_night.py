"""Mini night: rendered streets of two worlds in Cityscapes and Dark Zurich layout.

Made by tools/dataset_converters/mini_night.py.

The recipe of cityscapes2darkzurich.py at a quarter of its sizes.
"""

_base_ = '../test_time_augmentation.py'
source_root = 'data/mini_night/cityscapes/'
target_root = 'data/mini_night/dark_zurich/'
crop_size = (128, 128)  # of every image that a network sees in training
target_crop_size = (240, 240)  # resized to crop_size
val_size = (256, 128)  # by day
test_size = (240, 135)  # by night
source_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations'),
    dict(type='RandomResize', scale=(512, 256), ratio_range=(0.5, 0.8), keep_ratio=True),
    dict(type='RandomCrop', crop_size=crop_size),
    dict(type='RandomFlip', prob=0.5),
]
target_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='RandomResize', scale=(480, 270), ratio_range=(0.9, 1.1), keep_ratio=True),
    dict(type='RandomCrop', crop_size=target_crop_size),
    dict(type='Resize', scale=crop_size, keep_ratio=False),
    dict(type='RandomFlip', prob=0.5),
]
val_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='Resize', scale=val_size, keep_ratio=True),
    dict(type='LoadAnnotations'),
    dict(type='PackSegInputs'),
]
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='Resize', scale=test_size, keep_ratio=True),
    dict(type='LoadAnnotations'),
    dict(type='PackSegInputs'),
]
tta_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='Resize', scale=test_size, keep_ratio=True),
    _base_.tta_augment,
]
source_dataset = dict(
    type='CityscapesDataset',
    data_root=source_root,
    data_prefix=dict(img_path='leftImg8bit/train', seg_map_path='gtFine/train'),
    pipeline=source_pipeline,
)
target_dataset = dict(
    type='DarkZurichPairDataset',
    data_root=target_root,
    data_prefix=dict(img_path='rgb_anon'),
    ann_file='lists/zurich_dn_pair_train.csv',
    pipeline=target_pipeline,
)
mini_night_source_only_dataloader = dict(  # for the source-only stage
    batch_size=8,
    num_workers=0,
    sampler=dict(type='DrawSampler'),
    dataset=dict(
        type='DrawnDataset',
        dataset=dict(source_dataset, pipeline=[*source_pipeline, dict(type='PackSegInputs')]),
    ),
)
mini_night_source_val_dataloader = dict(
    batch_size=1,
    num_workers=0,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type='CityscapesDataset',
        data_root=source_root,
        data_prefix=dict(img_path='leftImg8bit/val', seg_map_path='gtFine/val'),
        pipeline=val_pipeline,
    ),
)
train_dataloader = dict(
    batch_size=2,
    num_workers=0,
    sampler=dict(type='DrawSampler'),
    dataset=dict(
        type='CrossDomainDataset',
        source=source_dataset,
        target=target_dataset,
        pipeline=[dict(type='LABTransfer'), dict(type='PackCrossDomainInputs')],
    ),
)
val_dataloader = dict(
    batch_size=1,
    num_workers=0,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type='DarkZurichDataset',
        data_root=target_root,
        data_prefix=dict(img_path='rgb_anon/val/night', seg_map_path='gt/val/night'),
        pipeline=test_pipeline,
    ),
)
test_dataloader = val_dataloader
val_evaluator = dict(type='IoUMetric', iou_metrics=['mIoU'])
test_evaluator = val_evaluator
