"""Optimizer construction."""

from .branchwise_constructor import BranchwiseOptimWrapperConstructor
from .joint_constructor import JointOptimWrapperConstructor
from .joint_optimizer import JointOptimizer

__all__ = [
    'BranchwiseOptimWrapperConstructor',
    'JointOptimWrapperConstructor',
    'JointOptimizer',
]
