"""GCMA on mini night from a pretrained network, second stage: nightly days, and twilight with guided labels."""

_base_ = 'refinenet_efficientnet-lite0_mini_day2night_day.py'
work, first = (
    'work_dirs/gcma/refinenet_efficientnet-lite0_mini_day2night/',
    'configs/gcma/refinenet_efficientnet-lite0_mini_day2night_day.py',
)
load_from = work + 'day/iter_1000.pth'
parts = _base_.parts
parts[0].dataset.pipeline[-2].images = _base_.photos + 'night'
dusk = _base_.photos + 'twilight'
folders = dict(img_path=dusk, seg_map_path=work + 'twilight_labels')
twilight = dict(_base_.photo_set, data_prefix=folders, made_by=load_from)
parts[1] = dict(name='twilight', share=1, dataset=twilight)
train_dataloader = dict(dataset=dict(parts=parts))
source_config, source = 'configs/refinenet/refinenet_efficientnet-lite0_mini.py', _base_.load_from
pairs = 'data/mini_night/dark_zurich/corresp/train/twilight'
refine = dict(align='filter', guide=source, pairs=pairs)
days = _base_.photos + 'day'
curriculum = [  # tools/curriculum.py
    dict(name='day_labels', label=days, checkpoint=source, config=source_config),
    dict(name='day', train=first, start=source, labels=dict(day='day_labels')),
    dict(name='twilight_labels', label=dusk, checkpoint='day', refine=refine),
    dict(
        name='twilight',
        train='configs/gcma/refinenet_efficientnet-lite0_mini_day2night.py',
        start='day',
        labels=dict(twilight='twilight_labels'),
    ),
]
