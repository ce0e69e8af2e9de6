"""DMAda on mini night, first stage: days with their labels, and twilight as the source-only network labels it."""

_base_ = [
    '../_base_/models/refinenet_small.py',
    '../_base_/datasets/mini_night_mixed.py',
    '../_base_/schedules/schedule_mini.py',
    '../_base_/default_runtime.py',
]
model = _base_.refinenet_small
model.type = 'PartwiseEncoderDecoder'
model.backbone.norm_eval = True  # the moments of the source stay
model.decode_head.loss_decode.class_weight = None
load_from = 'work_dirs/refinenet/refinenet_small_mini/iter_600.pth'
dusk = _base_.photos + 'twilight'
folders = dict(
    img_path=dusk, seg_map_path='work_dirs/dmada/refinenet_small_mini_day2night/twilight_labels'
)
twilight = dict(_base_.photo_set, data_prefix=folders, made_by=load_from)
parts = [
    dict(name='source', share=1, dataset=_base_.day_set),
    dict(name='twilight', share=1, dataset=twilight),
]
train_dataloader = dict(dataset=dict(parts=parts))
