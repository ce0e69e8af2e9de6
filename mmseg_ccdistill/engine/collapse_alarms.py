"""Diagnostics whose limits tell a collapsed distillation or collapsed pseudo labels."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple


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


def alarms(
    largest_class: float, share: float, correlation: float, contrast: float, rank: float
) -> tuple[Alarm, ...]:
    """The alarms at the given limits, see :class:`CollapseAlarmHook`."""
    return (
        Alarm(
            ('pseudo.largest_class',),
            lambda value: value > largest_class,
            'one class takes nearly all pseudo labels; check the source-only checkpoint on the target days',
        ),
        Alarm(
            ('pseudo.share',),
            lambda value: value < share,
            'hardly a pixel gets a pseudo label; check the source-only checkpoint on the target days and the static '
            'classes',
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
