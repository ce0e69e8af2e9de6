"""CCDistill on SegFormer MiT-B2: refinenet_r101_cs2dz.py with another segmentor and its recipe."""

_base_ = [
    './refinenet_r101_cs2dz.py',
    '../_base_/models/segformer_mit-b2.py',
    '../_base_/schedules/adamw.py',
]
model = dict(
    segmentor=dict(_delete_=True, **_base_.segformer), projection_head=dict(in_channels=512)
)
optim_wrapper = dict(
    optimizer=dict(_delete_=True, **_base_.adamw), paramwise_cfg=_base_.segformer_paramwise
)
param_scheduler = _base_.adamw_50k
load_from = 'work_dirs/segformer/segformer_mit-b2_cityscapes/iter_40000.pth'
