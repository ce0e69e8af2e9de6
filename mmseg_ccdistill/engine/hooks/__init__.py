"""Hooks of the training engine."""

from .checkpoint_match_hook import CheckpointMatchHook
from .dataset_check_hook import DatasetCheckHook
from .progress_hook import RichProgressHook

__all__ = [
    'CheckpointMatchHook',
    'DatasetCheckHook',
    'RichProgressHook',
]
