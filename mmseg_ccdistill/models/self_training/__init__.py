"""Self-training: what a teacher that lags behind its student says about unlabelled images."""

from .self_training import SelfTraining

__all__ = ['SelfTraining']
