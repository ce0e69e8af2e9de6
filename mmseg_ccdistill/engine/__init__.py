"""Training engine parts."""

from . import hooks, optimizers
from .named_hooks import NamedHooksRunner

__all__ = ['NamedHooksRunner', 'hooks', 'optimizers']
