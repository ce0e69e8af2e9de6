"""Hooks of the training engine."""

from .atomic_checkpoint_hook import AtomicCheckpointHook
from .checkpoint_match_hook import CheckpointMatchHook
from .collapse_alarm_hook import CollapseAlarmHook
from .data_guard_hook import DataGuardHook
from .dataset_check_hook import DatasetCheckHook
from .deferred_info_hook import DeferredInfoHook
from .exact_resume_hook import ExactResumeHook
from .finite_guard_hook import FiniteGuardHook
from .loading_limit_hook import LoadingLimitHook
from .numbered_pictures_hook import NumberedPicturesHook
from .progress_hook import RichProgressHook
from .restart_hook import RestartHook
from .safe_stop_hook import SafeStopHook

__all__ = [
    'AtomicCheckpointHook',
    'CheckpointMatchHook',
    'CollapseAlarmHook',
    'DataGuardHook',
    'DatasetCheckHook',
    'DeferredInfoHook',
    'ExactResumeHook',
    'FiniteGuardHook',
    'LoadingLimitHook',
    'NumberedPicturesHook',
    'RestartHook',
    'RichProgressHook',
    'SafeStopHook',
]
