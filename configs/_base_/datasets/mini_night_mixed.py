"""Mini night as cityscapes_darkzurich_mixed.py has the large sets, at a quarter of its sizes."""

_base_ = 'mini_night.py'
photos = 'data/mini_night/dark_zurich/rgb_anon/train/'
mixed_crops = [
    dict(type='RandomCrop', crop_size=_base_.crop_size),
    dict(type='RandomFlip', prob=0.5),
    dict(type='PackSegInputs'),
]
mixed_loading = [dict(type='LoadImageFromFile'), dict(type='LoadAnnotations')]
scales = dict(type='RandomResize', ratio_range=(0.7, 1.3), keep_ratio=True)
day_steps = [*mixed_loading, dict(scales, scale=(512, 256)), *mixed_crops]
photo_steps = [*mixed_loading, dict(scales, scale=(480, 270)), *mixed_crops]
day_set = dict(_base_.source_dataset, pipeline=day_steps)
photo_set = dict(type='PseudoLabelledDataset', pipeline=photo_steps)
train_dataloader = dict(
    dataset=dict(
        _delete_=True, type='MixedDataset', parts=[dict(name='source', share=1, dataset=day_set)]
    )
)
