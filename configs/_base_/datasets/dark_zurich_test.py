"""Dark Zurich test: 151 unlabelled night frames.

The evaluator writes predictions of 1920x1080 as trainIds, named like the images, for the benchmark's server.
"""

dark_zurich_test_root = 'data/dark_zurich/'
dark_zurich_test_size = (960, 540)
dark_zurich_test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='Resize', scale=dark_zurich_test_size, keep_ratio=True),
    dict(type='PackSegInputs'),
]
dark_zurich_test_dataloader = dict(
    batch_size=1,
    num_workers=4,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type='DarkZurichNightDataset',
        split='test',
        data_root=dark_zurich_test_root,
        pipeline=dark_zurich_test_pipeline,
    ),
)
dark_zurich_test_evaluator = dict(
    type='NightIoUMetric', format_only=True, output_dir='work_dirs/dark_zurich_test/labelTrainIds'
)
