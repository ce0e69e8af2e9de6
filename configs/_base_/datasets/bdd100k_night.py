"""BDD100K-night: 87 labelled night images. Tested at their own size, 1280x720: docs/evaluation.md says why."""

bdd100k_night_root = 'data/bdd100k/'
bdd100k_night_size = (1280, 720)  # sizes may differ between images
bdd100k_night_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='Resize', scale=bdd100k_night_size, keep_ratio=True),
    dict(type='LoadAnnotations'),  # after Resize: scored at full size
    dict(type='PackSegInputs'),
]
bdd100k_night_dataloader = dict(
    batch_size=1,
    num_workers=4,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type='BDD100KNightDataset',
        data_root=bdd100k_night_root,
        ann_file='lists/bdd100k_night.txt',
        pipeline=bdd100k_night_pipeline,
    ),
)
bdd100k_night_evaluator = dict(
    type='NightIoUMetric', dataset_name='BDD100K-night', expected_images=87
)
