"""AdaptSegNet of two levels on RefineNet-R101: deeplabv2_r101_cs2dz_multi-level.py with another segmentor."""

_base_ = './refinenet_r101_cs2dz.py'
model = dict(
    segmentor=dict(auxiliary_head=_base_.adaptsegnet_auxiliary_head), **_base_.adaptsegnet_levels
)
