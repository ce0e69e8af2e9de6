"""Source-only UPerNet on Cityscapes."""

_base_ = [
    '../_base_/models/upernet_swin-b.py',
    '../_base_/datasets/cityscapes.py',
    '../_base_/schedules/schedule_40k.py',
    '../_base_/schedules/adamw.py',
    '../_base_/default_runtime.py',
]
# ImageNet-1k weights of the Swin authors, converted by MMSegmentation
weights = 'https://download.openmmlab.com/mmsegmentation/v0.5/pretrain/swin/swin_base_patch4_window7_224_20220317-e9b98025.pth'
model = _base_.upernet
model.backbone.init_cfg = dict(type='Pretrained', checkpoint=weights)
optim_wrapper = dict(
    optimizer=dict(_delete_=True, **_base_.adamw),
    paramwise_cfg=dict(_delete_=True, **_base_.swin_paramwise),
)
param_scheduler = _base_.adamw_40k
