"""Beyond the paper: matched distillation and self-training on DeepLab-v2 R101: refinenet_r101_cs2dz_plus.py with
another segmentor and its recipe. Its head has no map of its own, so the backbone's is compared.

Not trained by us on Cityscapes and Dark Zurich.
"""

_base_ = ['./refinenet_r101_cs2dz_plus.py', '../_base_/models/deeplabv2_r101.py']
model = dict(
    segmentor=dict(_delete_=True, **_base_.deeplabv2), projection_head=dict(in_channels=2048)
)
# The classifier learns ten times as fast, as in DeepLab-v2 and AdaptSegNet.
optim_wrapper = dict(paramwise_cfg=dict(custom_keys=dict(decode_head=dict(lr_mult=10.0))))
load_from = 'work_dirs/deeplabv2/deeplabv2_r101_cityscapes/iter_40000.pth'
