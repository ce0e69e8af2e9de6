"""DMAda on mini night from a pretrained network, first stage: days, and twilight with the labels of source-only."""

_base_ = [
    '../_base_/models/refinenet_efficientnet-lite0.py',
    '../_base_/datasets/mini_night_mixed.py',
    '../_base_/schedules/finetune_mini.py',
    '../_base_/default_runtime.py',
]
model = _base_.refinenet_lite0
model.type = 'PartwiseEncoderDecoder'
model.decode_head.loss_decode.class_weight = None
load_from = 'work_dirs/refinenet/refinenet_efficientnet-lite0_mini/iter_4000.pth'
dusk = _base_.photos + 'twilight'
folders = dict(
    img_path=dusk,
    seg_map_path='work_dirs/dmada/refinenet_efficientnet-lite0_mini_day2night/twilight_labels',
)
twilight = dict(_base_.photo_set, data_prefix=folders, made_by=load_from)
parts = [
    dict(name='source', share=1, dataset=_base_.day_set),
    dict(name='twilight', share=1, dataset=twilight),
]
train_dataloader = dict(dataset=dict(parts=parts))
