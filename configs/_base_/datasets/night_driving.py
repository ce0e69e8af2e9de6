"""Nighttime Driving test: 50 night frames with coarse labels. Tested at 960x540, half of 1920x1080."""

night_driving_root = 'data/night_driving/'
night_driving_size = (960, 540)
night_driving_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='Resize', scale=night_driving_size, keep_ratio=True),
    dict(type='LoadAnnotations'),  # after Resize: scored at full size
    dict(type='PackSegInputs'),
]
night_driving_dataloader = dict(
    batch_size=1,
    num_workers=4,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type='NightDrivingDataset',
        data_root=night_driving_root,
        data_prefix=dict(
            img_path='leftImg8bit/test/night',
            seg_map_path='gtCoarse_daytime_trainvaltest/test/night',
        ),
        pipeline=night_driving_pipeline,
    ),
)
night_driving_evaluator = dict(
    type='NightIoUMetric', dataset_name='Night Driving', expected_images=50
)
