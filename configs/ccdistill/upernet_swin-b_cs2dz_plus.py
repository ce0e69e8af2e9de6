"""Beyond the paper: matched distillation and self-training on UPerNet Swin-B: refinenet_r101_cs2dz_plus.py with another
segmentor and its recipe.

Not trained by us on Cityscapes and Dark Zurich.
"""

_base_ = [
    './refinenet_r101_cs2dz_plus.py',
    '../_base_/models/upernet_swin-b.py',
    '../_base_/schedules/adamw.py',
]
model = dict(segmentor=dict(_delete_=True, **_base_.upernet), projection_head=dict(in_channels=512))
optim_wrapper = dict(
    optimizer=dict(_delete_=True, **_base_.adamw), paramwise_cfg=_base_.swin_paramwise
)
param_scheduler = _base_.adamw_50k
load_from = 'work_dirs/upernet/upernet_swin-b_cityscapes/iter_40000.pth'
