"""GCMA, second stage: labelled days in the light of night, and twilight with guided labels."""

_base_ = 'refinenet_r101_cs2dz_day.py'
work, first = 'work_dirs/gcma/refinenet_r101_cs2dz/', 'configs/gcma/refinenet_r101_cs2dz_day.py'
load_from = work + 'day/iter_15000.pth'
parts = _base_.parts
parts[0].dataset.pipeline[-2].images = _base_.photos + 'night'
dusk = _base_.photos + 'twilight'
folders = dict(img_path=dusk, seg_map_path=work + 'twilight_labels')
twilight = dict(_base_.photo_set, data_prefix=folders, made_by=load_from)
parts[1] = dict(name='twilight', share=2920, dataset=twilight)
train_dataloader = dict(dataset=dict(parts=parts))
source_config, source = 'configs/refinenet/refinenet_r101_cityscapes.py', _base_.load_from
pairs = 'data/dark_zurich/corresp/train/twilight'
refine = dict(align='filter', guide=source, pairs=pairs)
days = _base_.photos + 'day'
curriculum = [  # tools/curriculum.py
    dict(name='day_labels', label=days, checkpoint=source, config=source_config),
    dict(name='day', train=first, start=source, labels=dict(day='day_labels')),
    dict(name='twilight_labels', label=dusk, checkpoint='day', refine=refine),
    dict(
        name='twilight',
        train='configs/gcma/refinenet_r101_cs2dz.py',
        start='day',
        labels=dict(twilight='twilight_labels'),
    ),
]
