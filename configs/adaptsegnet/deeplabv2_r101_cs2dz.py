"""AdaptSegNet, single level with least squares: DeepLab-v2 R101, Cityscapes to Dark Zurich by night.

The recipe of the method's own optimizers (SGD for the network, Adam for the discriminator) on the crops, batch and
schedule of the CCDistill configs, so that the two can be compared.
"""

_base_ = ['./refinenet_r101_cs2dz.py', '../_base_/models/deeplabv2_r101.py']
_base_.deeplabv2.decode_head.loss_decode.class_weight = None  # AdaptSegNet does not weigh classes
model = dict(segmentor=dict(_delete_=True, **_base_.deeplabv2))
fast_heads = dict(decode_head=dict(lr_mult=10.0))
optim_wrapper = dict(optimizer=dict(night=dict(paramwise_cfg=dict(custom_keys=fast_heads))))
load_from = 'work_dirs/deeplabv2/deeplabv2_r101_cityscapes/iter_40000.pth'
