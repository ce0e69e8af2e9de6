"""CCDistill on real frames: refinenet_small_mini_day2night.py with other data roots and sizes."""

_base_ = './refinenet_small_mini_day2night.py'
source_root = 'data/camvid/cityscapes/'
target_root = 'data/camvid/dark_zurich/'
train_dataloader = dict(
    dataset=dict(
        source=dict(
            data_root=source_root,
            pipeline=[
                dict(type='LoadImageFromFile'),
                dict(type='LoadAnnotations'),
                dict(
                    type='RandomResize', scale=(480, 360), ratio_range=(0.5, 0.8), keep_ratio=True
                ),
                dict(type='RandomCrop', crop_size=(128, 128)),
                dict(type='RandomFlip', prob=0.5),
            ],
        ),
        target=dict(
            data_root=target_root,
            pipeline=[
                dict(type='LoadImageFromFile'),
                dict(
                    type='RandomResize', scale=(480, 360), ratio_range=(0.9, 1.1), keep_ratio=True
                ),
                dict(type='RandomCrop', crop_size=(240, 240)),
                dict(type='Resize', scale=(128, 128), keep_ratio=False),
                dict(type='RandomFlip', prob=0.5),
            ],
        ),
    )
)
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='Resize', scale=(256, 192), keep_ratio=True),
    dict(type='LoadAnnotations'),
    dict(type='PackSegInputs'),
]
val_dataloader = dict(dataset=dict(data_root=target_root, pipeline=test_pipeline))
test_dataloader = val_dataloader
load_from = 'work_dirs/refinenet/refinenet_small_camvid/iter_600.pth'
tta_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='Resize', scale=(256, 192), keep_ratio=True),
    _base_.tta_augment,
]
