"""CCDistill on DeepLab-v2 R101: refinenet_r101_cs2dz.py with another segmentor and its recipe."""

_base_ = ['./refinenet_r101_cs2dz.py', '../_base_/models/deeplabv2_r101.py']
model = dict(segmentor=dict(_delete_=True, **_base_.deeplabv2))
# The classifier learns ten times as fast, as in DeepLab-v2 and AdaptSegNet.
optim_wrapper = dict(paramwise_cfg=dict(custom_keys=dict(decode_head=dict(lr_mult=10.0))))
load_from = 'work_dirs/deeplabv2/deeplabv2_r101_cityscapes/iter_40000.pth'
