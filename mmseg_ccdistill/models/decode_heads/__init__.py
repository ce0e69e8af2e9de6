"""Decode heads of CCDistill."""

from .deeplabv2_head import DeepLabV2Head
from .refinenet_head import RefineNetHead

__all__ = ['DeepLabV2Head', 'RefineNetHead']
