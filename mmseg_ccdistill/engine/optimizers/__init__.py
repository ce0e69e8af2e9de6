"""Optimizer construction."""

from .branchwise_constructor import BranchwiseOptimWrapperConstructor

__all__ = ['BranchwiseOptimWrapperConstructor']
