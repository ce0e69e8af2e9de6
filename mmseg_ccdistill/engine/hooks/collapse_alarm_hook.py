"""A warning when the diagnostics show that the distillation or the pseudo labels have collapsed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from mmengine.hooks import Hook
from mmseg.registry import HOOKS

from ...runtime.host_values import to_host


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


_ADVICE = "projection_head.embedding_norm='whiten' keeps embeddings apart, see docs/method.md"


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
        self.alarms = (
            Alarm(
                ('pseudo.largest_class',),
                lambda value: value > largest_class,
                'one class takes nearly all pseudo labels; check the source-only checkpoint on the target days',
            ),
            Alarm(
                ('pseudo.share',),
                lambda value: value < share,
                'hardly a pixel gets a pseudo label; check the source-only checkpoint on the target days and the '
                'static classes',
            ),
            Alarm(
                ('cor.in_day_mean', 'cor.in_night_mean'),
                lambda value: abs(value) > correlation,
                'source and target embeddings are nearly all equal (+1) or all opposite (-1), so L_CDC teaches '
                f'little; {_ADVICE}',
            ),
            Alarm(
                ('cor.contrast_source', 'cor.contrast_target'),
                lambda value: value < contrast,
                f'the embedding is the same everywhere in an image, so L_CDC teaches nothing; {_ADVICE}',
            ),
            Alarm(
                ('cor.effective_rank',),
                lambda value: value < rank,
                f'the embeddings use next to no directions, so most of what they compare is lost; {_ADVICE}',
            ),
        )
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
