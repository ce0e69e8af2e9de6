"""What of a training knows its data or its method: hooks, optimizers, start-up checks, inference."""

from . import hooks, optimizers

__all__ = ['hooks', 'optimizers']
