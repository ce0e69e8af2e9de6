"""Source-only RefineNet on Cityscapes: the row "RefineNet" of the paper, and the start of both branches."""

_base_ = [
    '../_base_/models/refinenet_r101.py',
    '../_base_/datasets/cityscapes.py',
    '../_base_/schedules/schedule_40k.py',
    '../_base_/default_runtime.py',
]
# ImageNet weights (torchvision's IMAGENET1K_V1); the file name ends in the first eight digits of its sha256.
model = _base_.refinenet
model.backbone.init_cfg = dict(
    type='Pretrained', checkpoint='https://download.pytorch.org/models/resnet101-63fe2227.pth'
)
