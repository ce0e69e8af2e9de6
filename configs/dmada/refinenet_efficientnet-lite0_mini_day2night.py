"""DMAda on mini night from a pretrained network, second stage: days, and twilight and night with new labels."""

_base_ = 'refinenet_efficientnet-lite0_mini_day2night_twilight.py'
work, first = (
    'work_dirs/dmada/refinenet_efficientnet-lite0_mini_day2night/',
    'configs/dmada/refinenet_efficientnet-lite0_mini_day2night_twilight.py',
)
load_from = work + 'twilight/iter_1000.pth'
dark = _base_.photos + 'night'
more = dict(img_path=_base_.dusk, seg_map_path=work + 'new_twilight_labels')
most = dict(img_path=dark, seg_map_path=work + 'night_labels')
twilight = dict(_base_.photo_set, data_prefix=more, made_by=load_from)
night = dict(_base_.photo_set, data_prefix=most, made_by=load_from)
parts = [
    _base_.parts[0],
    dict(name='twilight', share=1, dataset=twilight),
    dict(name='night', share=1, dataset=night),
]
train_dataloader = dict(dataset=dict(parts=parts))
source_config, source = 'configs/refinenet/refinenet_efficientnet-lite0_mini.py', _base_.load_from
labels = dict(twilight='new_twilight_labels', night='night_labels')
curriculum = [  # tools/curriculum.py
    dict(name='twilight_labels', label=_base_.dusk, checkpoint=source, config=source_config),
    dict(name='twilight', train=first, start=source, labels=dict(twilight='twilight_labels')),
    dict(name='new_twilight_labels', label=_base_.dusk, checkpoint='twilight'),
    dict(name='night_labels', label=dark, checkpoint='twilight'),
    dict(
        name='night',
        train='configs/dmada/refinenet_efficientnet-lite0_mini_day2night.py',
        start='twilight',
        labels=labels,
    ),
]
