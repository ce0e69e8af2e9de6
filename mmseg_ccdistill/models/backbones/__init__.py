"""Backbones that MMSegmentation does not have."""

from .deeplabv2_resnet import DeepLabV2ResNet
from .efficientnet_lite import EfficientNetLite
from .rein_dinov3 import ReinDINOv3
from .rein_vit import ReinVisionTransformer

__all__ = ['DeepLabV2ResNet', 'EfficientNetLite', 'ReinDINOv3', 'ReinVisionTransformer']
