"""GCMA on mini night from a pretrained network, first stage: days in twilight, and real days with pseudo labels."""

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
style = dict(type='LABStyle', images=_base_.photos + 'twilight', suffix='_rgb_anon.png')
load, *steps, pack = _base_.day_steps
styled_steps = [load, dict(type='RecordLABStatistics'), *steps, style, pack]
folders = dict(
    img_path=_base_.photos + 'day',
    seg_map_path='work_dirs/gcma/refinenet_efficientnet-lite0_mini_day2night/day_labels',
)
day = dict(_base_.photo_set, data_prefix=folders, made_by=load_from)
parts = [
    dict(name='source', share=1, dataset=dict(_base_.day_set, pipeline=styled_steps)),
    dict(name='day', share=1, dataset=day),
]
train_dataloader = dict(dataset=dict(parts=parts))
