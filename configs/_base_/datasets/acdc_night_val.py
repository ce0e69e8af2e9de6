"""ACDC by night, val: 106 labelled frames.

Tested at 960x540, half of 1920x1080, as DANNet, DAFormer and Refign test; scored at 1920x1080.
"""

acdc_night_val_root = 'data/acdc/'
acdc_night_val_size = (960, 540)
acdc_night_val_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='Resize', scale=acdc_night_val_size, keep_ratio=True),
    dict(type='LoadAnnotations'),  # after Resize: scored at full size
    dict(type='PackSegInputs'),
]
acdc_night_val_dataloader = dict(
    batch_size=1,
    num_workers=4,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type='ACDCNightDataset',
        split='val',
        data_root=acdc_night_val_root,
        pipeline=acdc_night_val_pipeline,
    ),
)
acdc_night_val_evaluator = dict(
    type='NightIoUMetric', dataset_name='ACDC-night-val', expected_images=106
)
