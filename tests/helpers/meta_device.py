"""Models of full width without memory for their weights."""

from benchmarks.meta_device import meta_device

__all__ = ['meta_device']
