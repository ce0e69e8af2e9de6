"""AdaptSegNet, multi-level with the cross-entropy form, as in the paper: a classifier on the third stage too."""

_base_ = './deeplabv2_r101_cs2dz.py'
auxiliary_head = dict(
    type='DeepLabV2Head',
    in_channels=1024,
    in_index=2,
    num_classes=19,
    loss_decode=dict(type='WeightedCrossEntropyLoss', loss_weight=0.1),
)
model = dict(
    segmentor=dict(auxiliary_head=auxiliary_head),
    adversarial_form='vanilla',
    adversarial_weight=0.001,
    auxiliary_weight=0.0002,
)
fast_heads = dict(decode_head=dict(lr_mult=10.0), auxiliary_head=dict(lr_mult=10.0))
optim_wrapper = dict(optimizer=dict(night=dict(paramwise_cfg=dict(custom_keys=fast_heads))))
