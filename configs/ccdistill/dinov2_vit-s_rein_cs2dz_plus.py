"""Beyond the paper: matched distillation and self-training on DINOv2 ViT-S: refinenet_r101_cs2dz_plus.py with another
segmentor and its recipe. Students and teachers have one frozen ViT in common.

Not trained by us on Cityscapes and Dark Zurich.
"""

_base_ = [
    './refinenet_r101_cs2dz_plus.py',
    '../_base_/models/dinov2_vit-s_rein.py',
    '../_base_/schedules/adamw_rein.py',
]
model = dict(
    segmentor=dict(_delete_=True, **_base_.dinov2),
    projection_head=dict(in_channels=96),
    share_backbone=True,
)
optim_wrapper = dict(
    optimizer=dict(_delete_=True, **_base_.rein_adamw), paramwise_cfg=_base_.rein_paramwise
)
load_from = 'work_dirs/dinov2/dinov2_vit-s_rein_cityscapes/iter_40000.pth'
