"""Source-only DINOv2 ViT-S with Rein's adapters on Cityscapes."""

_base_ = [
    '../_base_/models/dinov2_vit-s_rein.py',
    '../_base_/datasets/cityscapes.py',
    '../_base_/schedules/schedule_40k.py',
    '../_base_/schedules/adamw_rein.py',
    '../_base_/default_runtime.py',
]
# The authors' dinov2_vits14_pretrain.pth, converted: README.md says how
weights = 'pretrained/dinov2_vits14_p16_512.pth'
model = _base_.dinov2
model.backbone.init_cfg = dict(type='Pretrained', checkpoint=weights)
optim_wrapper = dict(
    optimizer=dict(_delete_=True, **_base_.rein_adamw),
    paramwise_cfg=dict(_delete_=True, **_base_.rein_paramwise),
)
tta_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='Resize', scale=(960, 540), keep_ratio=True),
    _base_.tta_augment,
]
