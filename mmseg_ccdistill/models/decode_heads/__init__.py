"""Decode heads of CCDistill."""

from .deeplabv2_head import DeepLabV2Head
from .per_pixel_head import PerPixelHead
from .refinenet_head import RefineNetHead

__all__ = ['DeepLabV2Head', 'PerPixelHead', 'RefineNetHead']
