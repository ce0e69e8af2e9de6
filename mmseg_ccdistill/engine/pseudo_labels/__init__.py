"""Pseudo labels of unlabelled images, made once for a whole training."""

from .label_images import label_images
from .thresholds import ThresholdRule

__all__ = ['label_images', 'ThresholdRule']
