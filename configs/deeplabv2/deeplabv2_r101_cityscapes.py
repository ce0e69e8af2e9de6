"""Source-only DeepLab-v2 on Cityscapes; the classifier at ten times the rate of the backbone."""

_base_ = [
    '../_base_/models/deeplabv2_r101.py',
    '../_base_/datasets/cityscapes.py',
    '../_base_/schedules/schedule_40k.py',
    '../_base_/default_runtime.py',
]
# ImageNet weights (torchvision's IMAGENET1K_V1)
model = _base_.deeplabv2
model.backbone.init_cfg = dict(
    type='Pretrained', checkpoint='https://download.pytorch.org/models/resnet101-63fe2227.pth'
)
optim_wrapper = dict(optimizer=dict(lr=2.5e-4))
