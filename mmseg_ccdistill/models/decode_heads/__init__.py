"""Decode heads of CCDistill."""

from .refinenet_head import RefineNetHead

__all__ = ['RefineNetHead']
