"""Source-only RefineNet on ResNet-50: refinenet_r101_cityscapes.py with fewer blocks."""

_base_ = './refinenet_r101_cityscapes.py'
# ImageNet weights (torchvision's IMAGENET1K_V1)
weights = 'https://download.pytorch.org/models/resnet50-0676ba61.pth'
model = dict(backbone=dict(depth=50, init_cfg=dict(checkpoint=weights)))
