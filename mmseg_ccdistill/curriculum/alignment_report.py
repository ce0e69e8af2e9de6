"""What was done with each pair of day and dark image, and how many pairs had what."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any, Literal, TypedDict

import numpy as np

Kind = Literal['warped', 'homography', 'filtered', 'alone']
KINDS: tuple[Kind, ...] = ('warped', 'homography', 'filtered', 'alone')


class How(TypedDict, total=False):
    """What was done with a pair, as plain values.

    Attributes:
        kind: ``'warped'`` by motion and depth, or by a ``'homography'``; ``'filtered'``; ``'alone'``: no day image.
        reason: Why it was not aligned, or not with the depth that was wanted, or None.
        matches: Points in common.
        inliers: Those that agree with the motion or the homography.
        distance: Between the cameras in metres.
        rotation: Between the cameras in degrees.
        unassigned: Share of the pixels that no warped pixel covers.
        irregular: Share of the pixels at torn edges of depth.
        dark_confidence: Mean largest probability of the dark prediction.
        day_confidence: The same of the aligned day prediction.
        doubted: Share of the pixels where the day had the low weight.
        changed: Share of the pixels whose label the day has changed.
        changed_by_class: The same of each class of the dark prediction.
    """

    kind: Kind
    reason: str | None
    matches: int
    inliers: int
    distance: float
    rotation: float
    unassigned: float
    irregular: float
    dark_confidence: float
    day_confidence: float
    doubted: float
    changed: float
    changed_by_class: list[float]


def count_alignments(hows: Mapping[str, How]) -> dict[str, Any]:
    """Count what was done over a data set.

    Args:
        hows: What was done with each pair, by its name.

    Returns:
        Plain values that JSON can hold: ``pairs``, the number of each of :data:`KINDS`, ``reasons`` with their
        numbers, ``median`` of the inliers, distances and rotations of the warped pairs, and ``not_warped``, the names
        of the pairs with a reason. The order of the pairs changes nothing.
    """
    kinds = Counter(how['kind'] for how in hows.values())
    reasons = Counter(reason for how in hows.values() if (reason := how['reason']) is not None)
    warped = [how for how in hows.values() if how['kind'] == 'warped']
    median = {
        key: float(np.median([how[key] for how in warped]))  # type: ignore[literal-required]
        for key in ('inliers', 'distance', 'rotation')
        if warped
    }
    return {
        'pairs': len(hows),
        **{kind: kinds[kind] for kind in KINDS},
        'reasons': dict(sorted(reasons.items())),
        'median': median,
        'not_warped': {
            name: hows[name]['reason'] for name in sorted(hows) if hows[name]['reason'] is not None
        },
    }


def alignment_sentence(counts: Mapping[str, Any]) -> str:
    """One line for a log.

    Args:
        counts: As :func:`count_alignments` returns them.
    """
    parts = [f'{counts[kind]} {text}' for kind, text in (
        ('warped', 'warped'),
        ('homography', 'warped as a plane'),
        ('filtered', 'filtered'),
        ('alone', 'left alone'),
    ) if counts[kind]]  # fmt: skip
    why = '; '.join(f'{number} x {reason}' for reason, number in counts['reasons'].items())
    return f'Of {counts["pairs"]} pairs: {", ".join(parts) or "none"}' + (
        f' ({why}).' if why else '.'
    )
