"""Dark Zurich val: 50 labelled night frames of one sequence.

Tested at 960x540, half of 1920x1080, as DANNet, DAFormer and Refign test; scored at 1920x1080.
"""

dark_zurich_val_root = 'data/dark_zurich/'
dark_zurich_val_size = (960, 540)
dark_zurich_val_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='Resize', scale=dark_zurich_val_size, keep_ratio=True),
    dict(type='LoadAnnotations'),  # after Resize: scored at full size
    dict(type='PackSegInputs'),
]
dark_zurich_val_dataloader = dict(
    batch_size=1,
    num_workers=4,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type='DarkZurichNightDataset',
        split='val',
        data_root=dark_zurich_val_root,
        pipeline=dark_zurich_val_pipeline,
    ),
)
dark_zurich_val_evaluator = dict(type='NightIoUMetric', dataset_name='DZ-val', expected_images=50)
