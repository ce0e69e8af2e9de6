"""Source-only small RefineNet: refinenet_r101_cityscapes.py with a small network, from random weights."""

_base_ = ['./refinenet_r101_cityscapes.py', '../_base_/models/refinenet_small.py']
model = dict(
    backbone=dict(_delete_=True, **_base_.refinenet_small.backbone),
    decode_head=_base_.refinenet_small.decode_head,
)
# No ImageNet weights fit: the optimizer with which schedule_mini.py trains this network from random ones.
optim_wrapper = dict(
    optimizer=dict(_delete_=True, type='AdamW', lr=1e-3, weight_decay=0.01), paramwise_cfg=None
)
