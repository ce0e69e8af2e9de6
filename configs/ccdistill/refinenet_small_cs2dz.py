"""CCDistill on a RefineNet that trains on a CPU: refinenet_r101_cs2dz.py with a small network."""

_base_ = ['./refinenet_r101_cs2dz.py', '../_base_/models/refinenet_small.py']
model = dict(
    segmentor=dict(
        backbone=_base_.refinenet_small.backbone, decode_head=_base_.refinenet_small.decode_head
    ),
    projection_head=dict(in_channels=256),
)
load_from = 'work_dirs/refinenet/refinenet_small_cityscapes/iter_40000.pth'
