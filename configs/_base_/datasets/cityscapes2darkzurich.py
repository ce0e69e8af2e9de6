"""Cityscapes (S_d, labelled) and Dark Zurich day-night pairs (T_d, T_n, unlabelled); recipe of DANNet and the paper."""

_base_ = '../test_time_augmentation.py'
source_root = 'data/cityscapes/'
target_root = 'data/dark_zurich/'
crop_size = (512, 512)  # of every image that a network sees in training
target_crop_size = (960, 960)  # resized to crop_size
test_size = (960, 540)
source_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations'),
    dict(type='RandomResize', scale=(2048, 1024), ratio_range=(0.5, 1.0), keep_ratio=True),
    dict(type='RandomCrop', crop_size=crop_size),
    dict(type='RandomFlip', prob=0.5),
]
target_pipeline = [  # one draw for both images of a pair
    dict(type='LoadImageFromFile'),
    dict(type='RandomResize', scale=(1920, 1080), ratio_range=(0.9, 1.1), keep_ratio=True),
    dict(type='RandomCrop', crop_size=target_crop_size),
    dict(type='Resize', scale=crop_size, keep_ratio=False),
    dict(type='RandomFlip', prob=0.5),
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
train_dataloader = dict(
    batch_size=2,
    num_workers=8,
    persistent_workers=True,
    pin_memory=True,
    sampler=dict(type='DrawSampler'),
    dataset=dict(
        type='CrossDomainDataset',
        source=dict(
            type='CityscapesDataset',
            data_root=source_root,
            data_prefix=dict(img_path='leftImg8bit/train', seg_map_path='gtFine/train'),
            pipeline=source_pipeline,
        ),
        target=dict(
            type='DarkZurichPairDataset',
            data_root=target_root,
            data_prefix=dict(img_path='rgb_anon'),
            ann_file='lists/zurich_dn_pair_train.csv',
            pipeline=target_pipeline,
        ),
        pipeline=[dict(type='LABTransfer'), dict(type='PackCrossDomainInputs')],
    ),
)
val_dataloader = dict(
    batch_size=1,
    num_workers=4,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type='DarkZurichNightDataset',
        split='val',
        data_root=target_root,
        pipeline=test_pipeline,
    ),
)
test_dataloader = val_dataloader
val_evaluator = dict(type='NightIoUMetric', dataset_name='DZ-val', expected_images=50)
test_evaluator = val_evaluator
