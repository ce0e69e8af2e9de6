"""Source-only SegFormer on Cityscapes."""

_base_ = [
    '../_base_/models/segformer_mit-b2.py',
    '../_base_/datasets/cityscapes.py',
    '../_base_/schedules/schedule_40k.py',
    '../_base_/schedules/adamw.py',
    '../_base_/default_runtime.py',
]
# ImageNet-1k weights of the SegFormer authors, converted by MMSegmentation
weights = 'https://download.openmmlab.com/mmsegmentation/v0.5/pretrain/segformer/mit_b2_20220624-66e8bf70.pth'
model = _base_.segformer
model.backbone.init_cfg = dict(type='Pretrained', checkpoint=weights)
optim_wrapper = dict(
    optimizer=dict(_delete_=True, **_base_.adamw),
    paramwise_cfg=dict(_delete_=True, **_base_.segformer_paramwise),
)
param_scheduler = _base_.adamw_40k
