"""Training engine parts."""

from . import hooks, named_hooks, optimizers

__all__ = ['hooks', 'named_hooks', 'optimizers']
