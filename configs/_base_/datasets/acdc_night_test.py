"""ACDC by night, test: 500 unlabelled frames.

The evaluator writes predictions of 1920x1080 as trainIds, named like the images, for the benchmark's server.
"""

acdc_night_test_root = 'data/acdc/'
acdc_night_test_size = (960, 540)
acdc_night_test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='Resize', scale=acdc_night_test_size, keep_ratio=True),
    dict(type='PackSegInputs'),
]
acdc_night_test_dataloader = dict(
    batch_size=1,
    num_workers=4,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type='ACDCNightDataset',
        split='test',
        data_root=acdc_night_test_root,
        pipeline=acdc_night_test_pipeline,
    ),
)
acdc_night_test_evaluator = dict(
    type='NightIoUMetric', format_only=True, output_dir='work_dirs/acdc_night_test/labelTrainIds'
)
