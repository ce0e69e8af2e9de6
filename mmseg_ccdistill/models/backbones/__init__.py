"""Backbones that MMSegmentation does not have."""

from .deeplabv2_resnet import DeepLabV2ResNet
from .rein_vit import ReinVisionTransformer

__all__ = ['DeepLabV2ResNet', 'ReinVisionTransformer']
