"""AdaptSegNet of two levels on mini night: deeplabv2_r101_cs2dz_multi-level.py with the network of its parent."""

_base_ = './refinenet_efficientnet-lite0_mini_day2night.py'
auxiliary_head = dict(_base_.adaptsegnet_auxiliary_head, in_channels=112)
model = dict(segmentor=dict(auxiliary_head=auxiliary_head), **_base_.adaptsegnet_levels)
