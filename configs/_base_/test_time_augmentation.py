"""Test-time augmentation (tools/test.py --tta): three scales, each with its mirror image.

The scales are relative to the image that comes in: a data set that tests at another size than on disk resizes first.
"""

tta_augment = dict(
    type='TestTimeAug',
    transforms=[
        [dict(type='Resize', scale_factor=ratio, keep_ratio=True) for ratio in (0.75, 1.0, 1.25)],
        [dict(type='RandomFlip', prob=prob, direction='horizontal') for prob in (0.0, 1.0)],
        [dict(type='LoadAnnotations')],
        [dict(type='PackSegInputs')],
    ],
)
