"""Training engine parts."""

from . import hooks

__all__ = ['hooks']
