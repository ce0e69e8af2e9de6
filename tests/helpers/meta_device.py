"""Models of full width without memory for their weights."""

from mmseg_ccdistill.runtime.meta_device import meta_device

__all__ = ['meta_device']
