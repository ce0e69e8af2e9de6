"""DANNet on PSPNet R101: refinenet_r101_cs2dz.py with another segmentor."""

_base_ = ['./refinenet_r101_cs2dz.py', '../_base_/models/pspnet_r101.py']
model = dict(segmentor=dict(_delete_=True, **{**_base_.pspnet, **_base_.relit}))
load_from = 'work_dirs/pspnet/pspnet_r101_cityscapes/iter_40000.pth'
