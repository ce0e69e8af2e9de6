"""Source-only on real frames (CamVid by day): refinenet_small_mini.py with other data roots and sizes."""

_base_ = './refinenet_small_mini.py'
source_root = 'data/camvid/cityscapes/'
target_root = 'data/camvid/dark_zurich/'
train_dataloader = dict(
    dataset=dict(
        dataset=dict(
            data_root=source_root,
            pipeline=[
                dict(type='LoadImageFromFile'),
                dict(type='LoadAnnotations'),
                dict(
                    type='RandomResize', scale=(480, 360), ratio_range=(0.5, 0.8), keep_ratio=True
                ),
                dict(type='RandomCrop', crop_size=(128, 128)),
                dict(type='RandomFlip', prob=0.5),
                dict(type='PackSegInputs'),
            ],
        )
    )
)
val_dataloader = dict(
    dataset=dict(
        data_root=source_root,
        pipeline=[
            dict(type='LoadImageFromFile'),
            dict(type='Resize', scale=(256, 192), keep_ratio=True),
            dict(type='LoadAnnotations'),
            dict(type='PackSegInputs'),
        ],
    )
)
test_dataloader = dict(
    dataset=dict(
        data_root=target_root,
        pipeline=[
            dict(type='LoadImageFromFile'),
            dict(type='Resize', scale=(256, 192), keep_ratio=True),
            dict(type='LoadAnnotations'),
            dict(type='PackSegInputs'),
        ],
    )
)
tta_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='Resize', scale=(256, 192), keep_ratio=True),
    _base_.tta_augment,
]
