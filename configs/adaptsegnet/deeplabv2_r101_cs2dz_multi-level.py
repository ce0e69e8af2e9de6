"""AdaptSegNet, multi-level with the cross-entropy form, as in the paper: a classifier on the third stage too."""

_base_ = './deeplabv2_r101_cs2dz.py'
model = dict(
    segmentor=dict(auxiliary_head=_base_.adaptsegnet_auxiliary_head), **_base_.adaptsegnet_levels
)
fast_heads = dict(decode_head=dict(lr_mult=10.0), auxiliary_head=dict(lr_mult=10.0))
optim_wrapper = dict(optimizer=dict(night=dict(paramwise_cfg=dict(custom_keys=fast_heads))))
