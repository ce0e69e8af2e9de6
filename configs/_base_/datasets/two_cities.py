"""Two cities by day (CamVid's Cambridge and KITTI's Karlsruhe, which together have all 19 classes) and night frames of
a third drive, in Cityscapes and Dark Zurich layout: the recipe of mini_night.py on real frames.

All names are of this file alone, because a config lists it beside its parent, and two bases must not share a key.
"""

two_cities_crop = (128, 128)  # of every image that a network sees in training
two_cities_frame = (480, 360)  # CamVid and the night frames
two_cities_kitti_frame = (1242, 375)  # as high as the others, so that streets have one scale
two_cities_test_size = (256, 192)
two_cities_test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='Resize', scale=two_cities_test_size, keep_ratio=True),
    dict(type='LoadAnnotations'),
    dict(type='PackSegInputs'),
]
two_cities_camvid_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations'),
    dict(type='RandomResize', scale=two_cities_frame, ratio_range=(0.5, 0.8), keep_ratio=True),
    dict(type='RandomCrop', crop_size=two_cities_crop),
    dict(type='RandomFlip', prob=0.5),
]
two_cities_kitti_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations'),
    dict(
        type='RandomResize', scale=two_cities_kitti_frame, ratio_range=(0.5, 0.8), keep_ratio=True
    ),
    dict(type='RandomCrop', crop_size=two_cities_crop),
    dict(type='RandomFlip', prob=0.5),
]
two_cities_target_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='RandomResize', scale=two_cities_frame, ratio_range=(0.9, 1.1), keep_ratio=True),
    dict(type='RandomCrop', crop_size=(240, 240)),
    dict(type='Resize', scale=two_cities_crop, keep_ratio=False),
    dict(type='RandomFlip', prob=0.5),
]
two_cities_camvid = dict(
    type='CityscapesDataset',
    data_root='data/two_cities/cityscapes/',
    data_prefix=dict(img_path='leftImg8bit/train', seg_map_path='gtFine/train'),
    lazy_init=True,  # ConcatDataset lists the files when it is told to
)
two_cities_kitti = dict(
    type='CityscapesDataset',
    data_root='data/two_cities/kitti/',
    data_prefix=dict(img_path='leftImg8bit/train', seg_map_path='gtFine/train'),
    img_suffix='_leftImg8bit.jpg',
    lazy_init=True,
)
two_cities_pack = [dict(type='PackSegInputs')]
two_cities_source_only_dataloader = dict(
    batch_size=8,
    num_workers=0,
    sampler=dict(type='DrawSampler'),
    dataset=dict(
        type='DrawnDataset',
        dataset=dict(
            type='ConcatDataset',
            datasets=[
                dict(two_cities_camvid, pipeline=two_cities_camvid_pipeline + two_cities_pack),
                dict(two_cities_kitti, pipeline=two_cities_kitti_pipeline + two_cities_pack),
            ],
        ),
    ),
)
two_cities_val_prefix = dict(img_path='leftImg8bit/val', seg_map_path='gtFine/val')
two_cities_source_val_dataloader = dict(
    batch_size=1,
    num_workers=0,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type='ConcatDataset',
        datasets=[
            dict(
                two_cities_camvid,
                data_prefix=two_cities_val_prefix,
                pipeline=two_cities_test_pipeline,
            ),
            dict(
                two_cities_kitti,
                data_prefix=two_cities_val_prefix,
                pipeline=two_cities_test_pipeline,
            ),
        ],
    ),
)
two_cities_dataloader = dict(
    batch_size=2,
    num_workers=0,
    sampler=dict(type='DrawSampler'),
    dataset=dict(
        type='CrossDomainDataset',
        source=dict(
            type='ConcatDataset',
            datasets=[
                dict(two_cities_camvid, pipeline=two_cities_camvid_pipeline),
                dict(two_cities_kitti, pipeline=two_cities_kitti_pipeline),
            ],
        ),
        target=dict(
            type='DarkZurichPairDataset',
            data_root='data/two_cities/dark_zurich/',
            data_prefix=dict(img_path='rgb_anon'),
            ann_file='lists/zurich_dn_pair_train.csv',
            pipeline=two_cities_target_pipeline,
        ),
        pipeline=[dict(type='LABTransfer'), dict(type='PackCrossDomainInputs')],
    ),
)
two_cities_test_dataloader = dict(
    batch_size=1,
    num_workers=0,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type='DarkZurichDataset',
        data_root='data/two_cities/dark_zurich/',
        data_prefix=dict(img_path='rgb_anon/val/night', seg_map_path='gt/val/night'),
        pipeline=two_cities_test_pipeline,
    ),
)
