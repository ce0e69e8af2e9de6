"""Real frames (CamVid) in place of mini night: data roots and pipelines, for a config whose parent is on mini night.

Only roots and sizes differ from those of mini_night.py. The variables have names of their own, because a config lists
this file beside its parent, and two bases must not share a key.
"""

camvid_frame_size = (480, 360)
camvid_test_size = (256, 192)
camvid_source = dict(
    data_root='data/camvid/cityscapes/',
    pipeline=[
        dict(type='LoadImageFromFile'),
        dict(type='LoadAnnotations'),
        dict(type='RandomResize', scale=camvid_frame_size, ratio_range=(0.5, 0.8), keep_ratio=True),
        dict(type='RandomCrop', crop_size=(128, 128)),
        dict(type='RandomFlip', prob=0.5),
    ],
)
camvid_target = dict(
    data_root='data/camvid/dark_zurich/',
    pipeline=[
        dict(type='LoadImageFromFile'),
        dict(type='RandomResize', scale=camvid_frame_size, ratio_range=(0.9, 1.1), keep_ratio=True),
        dict(type='RandomCrop', crop_size=(240, 240)),
        dict(type='Resize', scale=(128, 128), keep_ratio=False),
        dict(type='RandomFlip', prob=0.5),
    ],
)
camvid_test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='Resize', scale=camvid_test_size, keep_ratio=True),
    dict(type='LoadAnnotations'),
    dict(type='PackSegInputs'),
]
camvid_test = dict(data_root='data/camvid/dark_zurich/', pipeline=camvid_test_pipeline)
