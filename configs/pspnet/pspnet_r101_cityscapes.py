"""Source-only PSPNet on Cityscapes, without an auxiliary head: the start of DANNet on PSPNet."""

_base_ = [
    '../_base_/models/pspnet_r101.py',
    '../_base_/datasets/cityscapes.py',
    '../_base_/schedules/schedule_40k.py',
    '../_base_/default_runtime.py',
]
# ImageNet weights with the deep stem, from OpenMMLab
model = _base_.pspnet
model.backbone.init_cfg = dict(type='Pretrained', checkpoint='open-mmlab://resnet101_v1c')
