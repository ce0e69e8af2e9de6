"""What the console says of a run: its values in words, and the log lines that it replaces."""

from __future__ import annotations

import datetime
import logging
import re
import resource
import sys

import torch
from mmengine.logging import MessageHub

# What LoggerHook writes for single iterations; this hook shows the same on the console.
_ITERATION_LINE = re.compile(
    r'^(Iter|Epoch)\(train\)|^(Iter|Epoch)\((val|test)\).*\beta: |^Exp name: '
)


class IterationLineFilter(logging.Filter):
    """Drops LoggerHook's lines about single iterations and lets everything else pass."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Tell whether a record is kept."""
        return _ITERATION_LINE.match(record.getMessage()) is None


def validations_left(done: int, total: int, interval: int, begin: int = 1) -> int:
    """Count the validations that a loop over iterations still runs.

    mmengine validates after every multiple of ``interval`` from ``begin`` on, and after the last
    iteration.
    """
    if done >= total:
        return 0
    last_past = max(done, begin - 1)
    multiples = max(0, total // interval - last_past // interval)
    return multiples + (1 if total % interval and total >= begin else 0)


def mean_losses(hub: MessageHub, window: int) -> dict[str, float]:
    """Read the training losses that the runner has logged.

    Args:
        hub: The runner's message hub; its values are numbers on the host already.
        window: Iterations to average over.

    Returns:
        ``loss`` first, then each term, under its key in the model's output.
    """
    values = {
        key.removeprefix('train/'): float(history.mean(window))
        for key, history in hub.log_scalars.items()
        if key.startswith('train/') and 'loss' in key
    }
    total = {'loss': values.pop('loss')} if 'loss' in values else {}
    return {**total, **values}


def short_name(key: str) -> str:
    """Shorten a loss key for the console: ``source_day.loss_seg`` -> ``source_day.seg``."""
    return key.replace('loss_', '') or key


def memory_text() -> str:
    """Peak memory in 1e9 bytes: ``'3.2 GB GPU'`` (allocated by torch), without CUDA ``'1.1 GB RAM'`` (resident set)."""
    if torch.cuda.is_available():
        return f'{torch.cuda.max_memory_allocated() / 1e9:.1f} GB GPU'
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return f'{peak * (1 if sys.platform == "darwin" else 1024) / 1e9:.1f} GB RAM'


def duration_text(seconds: float) -> str:
    """Write a duration in seconds as hours, minutes and seconds: ``'0:03:12'``."""
    return str(datetime.timedelta(seconds=round(seconds)))
