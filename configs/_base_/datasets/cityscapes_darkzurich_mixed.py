"""Cityscapes beside pseudo-labelled images of Dark Zurich: the parts that the stages of DMAda, GCMA and MGCDA mix."""

_base_ = 'cityscapes2darkzurich.py'
photos = 'data/dark_zurich/rgb_anon/train/'
mixed_crops = [
    dict(type='RandomCrop', crop_size=_base_.crop_size),
    dict(type='RandomFlip', prob=0.5),
    dict(type='PackSegInputs'),
]
mixed_loading = [dict(type='LoadImageFromFile'), dict(type='LoadAnnotations')]
scales = dict(type='RandomResize', ratio_range=(0.7, 1.3), keep_ratio=True)
day_steps = [*mixed_loading, dict(scales, scale=(2048, 1024)), *mixed_crops]
photo_steps = [*mixed_loading, dict(scales, scale=(1920, 1080)), *mixed_crops]
day_set = dict(_base_.train_dataloader.dataset.source, pipeline=day_steps)
photo_set = dict(type='PseudoLabelledDataset', pipeline=photo_steps)
train_dataloader = dict(
    dataset=dict(
        _delete_=True, type='MixedDataset', parts=[dict(name='source', share=1, dataset=day_set)]
    )
)
