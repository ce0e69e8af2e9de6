"""DANNet on DeepLab-v2 R101: refinenet_r101_cs2dz.py with another segmentor."""

_base_ = ['./refinenet_r101_cs2dz.py', '../_base_/models/deeplabv2_r101.py']
model = dict(segmentor=dict(_delete_=True, **{**_base_.deeplabv2, **_base_.relit}))
load_from = 'work_dirs/deeplabv2/deeplabv2_r101_cityscapes/iter_40000.pth'
