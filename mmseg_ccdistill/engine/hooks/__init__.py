"""Hooks of the training engine."""

from .dataset_check_hook import DatasetCheckHook
from .progress_hook import RichProgressHook

__all__ = [
    'DatasetCheckHook',
    'RichProgressHook',
]
