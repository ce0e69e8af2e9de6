"""What any training needs, whatever its data and models: files, command line, resume, guards, several processes."""

from .joint_constructor import JointOptimWrapperConstructor
from .joint_optimizer import JointOptimizer
from .named_hooks import NamedHooksRunner

__all__ = ['JointOptimWrapperConstructor', 'JointOptimizer', 'NamedHooksRunner']
