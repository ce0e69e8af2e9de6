"""A warning when the diagnostics show that the distillation or the pseudo labels have collapsed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mmengine.hooks import Hook
from mmseg.registry import HOOKS

from ...runtime.host_values import to_host
from ..collapse_alarms import alarms


@HOOKS.register_module()
class CollapseAlarmHook(Hook):
    """Warns when a diagnostic crosses its limit, once until it has come back.

    Reads the diagnostics of ``CCDistillSegmentor`` in the iterations that compute them
    (``model.diagnostics_interval``), in one transfer; other iterations cost nothing. The limits are those of the
    table of diagnostics in docs/training.md. What was measured is that of the runs in docs/results.

    Args:
        largest_class (float): Largest class's share of the pseudo labels, an alarm above it. Defaults to 0.95.
        share (float): Share of the pixels that get a pseudo label, an alarm below it. Defaults to 0.05.
        correlation (float): Absolute mean of a Cor_in map, an alarm above it: +1 is one embedding for everything, -1
            is v for the source and -v for the target. Heads that keep content apart were measured below 0.75,
            collapsed ones at +0.998, flipped ones down to -0.99. Defaults to 0.85.
        contrast (float): Content contrast, an alarm below it. Collapsed heads were measured at 0.001, others above 0.3.
            Defaults to 0.02.
        rank (float): Effective rank of the embeddings, an alarm below it. Collapsed heads were measured at 1.0,
            flipped and pinned ones at 1.3 to 3.6, those that keep content apart at 5.2 and above. Defaults to 4.
        begin (int): Iterations at the start of a run without alarms, while a fresh head settles. Defaults to 200.
    """

    priority = 'NORMAL'

    def __init__(
        self,
        largest_class: float = 0.95,
        share: float = 0.05,
        correlation: float = 0.85,
        contrast: float = 0.02,
        rank: float = 4.0,
        begin: int = 200,
    ) -> None:
        self.alarms = alarms(largest_class, share, correlation, contrast, rank)
        self.begin = begin
        self._ringing: set[str] = set()

    def after_train_iter(
        self,
        runner: Any,
        batch_idx: int,
        data_batch: Any = None,
        outputs: Mapping[str, Any] | None = None,
    ) -> None:
        """Compare the diagnostics with their limits."""
        watched = [(key, alarm) for alarm in self.alarms for key in alarm.keys]
        watched = [(key, alarm) for key, alarm in watched if outputs and key in outputs]
        if not watched or outputs is None or runner.iter < self.begin:
            return
        values = to_host([outputs[key] for key, _ in watched])
        for (key, alarm), value in zip(watched, values, strict=True):
            if not alarm.is_bad(value):
                self._ringing.discard(key)
            elif key not in self._ringing:
                self._ringing.add(key)
                runner.logger.warning(
                    f'iteration {runner.iter + 1}: {key} is {value:.3f}: {alarm.meaning}.'
                )
