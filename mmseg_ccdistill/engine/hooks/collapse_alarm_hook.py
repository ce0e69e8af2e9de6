"""A warning when the diagnostics show that the distillation or the pseudo labels have collapsed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from mmengine.hooks import Hook
from mmseg.registry import HOOKS

from .deferred_info_hook import to_host


class Alarm(NamedTuple):
    """What is watched.

    Attributes:
        keys: Diagnostics in the log.
        is_bad: Whether a value is beyond the limit.
        meaning: What it means and what to try.
    """

    keys: tuple[str, ...]
    is_bad: Callable[[float], bool]
    meaning: str


def alarms(largest_class: float, correlation: float, contrast: float) -> tuple[Alarm, ...]:
    """The alarms at the given limits, see :class:`CollapseAlarmHook`."""
    return (
        Alarm(
            ('pseudo.largest_class',),
            lambda value: value > largest_class,
            'one class takes nearly all pseudo labels; check the source-only checkpoint on the target days',
        ),
        Alarm(
            ('cor.in_day_mean', 'cor.in_night_mean'),
            lambda value: abs(value) > correlation,
            'source and target embeddings are all equal (+1) or all opposite (-1), so L_CDC teaches nothing; use '
            "projection_head.embedding_norm='standardize' or a smaller loss_cdc.loss_weight",
        ),
        Alarm(
            ('cor.contrast_source', 'cor.contrast_target'),
            lambda value: value < contrast,
            'the embedding is the same everywhere in an image, so L_CDC teaches nothing; use '
            "projection_head.embedding_norm='standardize'",
        ),
    )


@HOOKS.register_module()
class CollapseAlarmHook(Hook):
    """Warns when a diagnostic crosses its limit, once until it has come back.

    Reads the diagnostics of ``CCDistillSegmentor`` in the iterations that compute them
    (``model.diagnostics_interval``), in one transfer; other iterations cost nothing.

    Args:
        largest_class (float): Largest class's share of the pseudo labels. Defaults to 0.95.
        correlation (float): Absolute mean of a Cor_in map. Collapsed heads were measured at 0.997 and above, useful
            ones below 0.85. Defaults to 0.97.
        contrast (float): Content contrast. Collapsed heads were measured at 0.001, useful ones above 0.8. Defaults
            to 0.02.
        begin (int): Iterations at the start of a run without alarms, while a fresh head settles. Defaults to 200.
    """

    priority = 'NORMAL'

    def __init__(
        self,
        largest_class: float = 0.95,
        correlation: float = 0.97,
        contrast: float = 0.02,
        begin: int = 200,
    ) -> None:
        self.alarms = alarms(largest_class, correlation, contrast)
        self.begin = begin
        self._ringing: set[str] = set()

    def after_train_iter(
        self,
        runner: Any,
        batch_idx: int,
        data_batch: Any = None,
        outputs: Mapping[str, Any] | None = None,
    ) -> None:
        """Compare the diagnostics with their limits.

        Args:
            runner: The runner.
            batch_idx: Not used.
            data_batch: Not used.
            outputs: What the model's ``train_step`` returned.
        """
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
