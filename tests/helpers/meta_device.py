"""Models of full width without memory for their weights."""

from benchmarks.step_cost import meta_device

__all__ = ['meta_device']
