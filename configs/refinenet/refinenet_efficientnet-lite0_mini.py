"""Source-only on mini night from ImageNet weights: labelled day images of world S; validated on S by day, tested on
T at night.
"""

_base_ = [
    '../_base_/models/refinenet_efficientnet-lite0.py',
    '../_base_/datasets/mini_night.py',
    '../_base_/schedules/schedule_mini_pretrained.py',
    '../_base_/default_runtime.py',
]
model = _base_.refinenet_lite0
train_dataloader = dict(_delete_=True, **_base_.mini_night_source_only_dataloader)
val_dataloader = _base_.mini_night_source_val_dataloader
