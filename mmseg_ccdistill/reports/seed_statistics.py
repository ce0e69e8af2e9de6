"""Means, paired differences and the closed share of a gap, with 95 % intervals over seeds.

One seed is one unit: its data, its source stage and its noise are shared by all rows, so rows are compared by pairs.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

#: Coverage of every interval.
CONFIDENCE = 0.95

#: Value by seed.
BySeed = Mapping[str, float]


@dataclass(frozen=True)
class Estimate:
    """An estimate over seeds.

    Attributes:
        value: The estimate.
        n: Number of seeds.
        half_width: Half of its interval; None with one seed, which says nothing of the spread.
    """

    value: float
    n: int
    half_width: float | None = None

    @property
    def interval(self) -> tuple[float, float] | None:
        """Lower and upper end."""
        if self.half_width is None:
            return None
        return self.value - self.half_width, self.value + self.half_width


@dataclass(frozen=True)
class Spread:
    """Values of one row over seeds, with the interval of their mean.

    Attributes:
        mean: Mean and its interval.
        sd: Sample standard deviation (n - 1); None with one seed.
        low: Smallest value.
        high: Largest value.
    """

    mean: Estimate
    sd: float | None
    low: float
    high: float


def _half_width(values: np.ndarray, scale: float = 1.0) -> float | None:
    """Half of the Student-t interval of a mean, times ``scale``."""
    n = len(values)
    if n < 2:
        return None
    quantile = float(stats.t.ppf(0.5 + CONFIDENCE / 2, n - 1))
    return quantile * float(values.std(ddof=1)) / math.sqrt(n) * scale


def spread(values: Sequence[float]) -> Spread:
    """Summarise the values of one row.

    Args:
        values: One for each seed, at least one.

    Returns:
        Mean with Student-t interval, standard deviation and range.
    """
    array = np.asarray(values, dtype=np.float64)
    sd = float(array.std(ddof=1)) if len(array) > 1 else None
    mean = Estimate(float(array.mean()), len(array), _half_width(array))
    return Spread(mean, sd, float(array.min()), float(array.max()))


def differences_by_seed(row: BySeed, reference: BySeed) -> dict[str, float]:
    """What one row is above another, for the seeds that both have.

    Args:
        row: Values of the row.
        reference: Values that are subtracted.
    """
    return {seed: row[seed] - reference[seed] for seed in sorted(set(row) & set(reference))}


def paired_difference(row: BySeed, reference: BySeed) -> Estimate | None:
    """Mean difference of two rows over their common seeds, with the interval of a paired t test.

    Args:
        row: Values of the row.
        reference: Values that are subtracted.

    Returns:
        The difference; None without a common seed.
    """
    differences = differences_by_seed(row, reference)
    return spread(list(differences.values())).mean if differences else None


def closed_share(row: BySeed, lower: BySeed, upper: BySeed) -> Estimate | None:
    r"""Share of the gap between two rows that a third one closes: a ratio of means over common seeds.

    With :math:`a = row - lower` and :math:`b = upper - lower` by seed, the share is
    :math:`r = \bar a / \bar b`. Its interval is that of the delta method: the Student-t interval of the mean of
    :math:`(a - r b) / \bar b`, so seeds stay paired and a mean of ratios, which a small gap of one seed would
    rule, is not taken.

    Args:
        row: Values of the row.
        lower: Values at which the share is 0.
        upper: Values at which the share is 1.

    Returns:
        The share, 1 for all of the gap; None without a common seed or without a gap.
    """
    gains, gaps = differences_by_seed(row, lower), differences_by_seed(upper, lower)
    seeds = sorted(set(gains) & set(gaps))
    a, b = (np.array([column[seed] for seed in seeds]) for column in (gains, gaps))
    if not seeds or not b.mean() > 0:
        return None
    ratio = float(a.mean() / b.mean())
    return Estimate(ratio, len(a), _half_width(a - ratio * b, 1 / float(b.mean())))
