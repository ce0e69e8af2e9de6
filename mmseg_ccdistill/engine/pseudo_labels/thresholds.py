"""Which predictions become pseudo labels: a least confidence for each class, over all images together.

BDL (Li et al., CVPR 2019): of the n sorted confidences x of a class, in its released code

    t = min(x[round(n / 2)], 0.9),    kept where confidence >= t.

So a median below 0.9 keeps half of a class whatever its quality, and one above keeps more than half.

Sorting the pixels of a data set takes tens of gigabytes. Two histograms give the same value: non-negative float32
numbers are in the order of their bits, so the upper 16 bits of x[r] follow from one histogram of 65,536 bins for each
class, and the lower 16 bits from a second one of the confidences that have these upper bits.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

import numpy as np

from ...errors import UserInputError
from ...label_ids import IGNORE_INDEX

_BINS = 2**16
_KINDS = ('median', 'none', 'fixed')


class Guess(NamedTuple):
    """What a network says of one image.

    Attributes:
        classes: The likeliest class of each pixel, uint8 ``(h, w)``.
        confidence: Its probability, float32 ``(h, w)``.
    """

    classes: np.ndarray
    confidence: np.ndarray


class ThresholdRule(NamedTuple):
    """How sure a prediction must be.

    Attributes:
        kind: ``'median'``: the rule of BDL. ``'none'``: every pixel has a label. ``'fixed'``: ``value`` for
            all classes.
        value: The threshold of ``'fixed'``, 0 to 1.
        quantile: For ``'median'``: the place r = round(n * quantile) in the sorted confidences; 0.5 in BDL.
        cap: For ``'median'``: no threshold is above it; 0.9 in BDL.
    """

    kind: str = 'median'
    value: float | None = None
    quantile: float = 0.5
    cap: float = 0.9

    def check(self) -> ThresholdRule:
        """Refuse a rule that cannot be.

        Returns:
            The rule.

        Raises:
            UserInputError: On an unknown kind, a number that is not from 0 to 1, or one that the kind does not read.
        """
        if self.kind not in _KINDS:
            raise UserInputError(
                f'the threshold is {self.kind!r}: expected one of {_KINDS}; correct it'
            )
        if (self.kind == 'fixed') != (self.value is not None):
            raise UserInputError(
                f"the threshold is {self.kind!r} with the value {self.value}: expected a value with 'fixed' and none "
                'with the others; correct it'
            )
        for name in ('value', 'quantile', 'cap'):
            number = getattr(self, name)
            if number is not None and not 0 <= number <= 1:
                raise UserInputError(
                    f'the {name} of the threshold is {number}: expected 0 to 1; correct it'
                )
        for name in ('quantile', 'cap'):
            if self.kind != 'median' and getattr(self, name) != self._field_defaults[name]:
                raise UserInputError(
                    f"the threshold is {self.kind!r} with the {name} {getattr(self, name)}: expected it with 'median' "
                    'alone; leave it out'
                )
        return self

    @property
    def needs_all_images(self) -> bool:
        """Whether thresholds follow from the predictions for all images."""
        return self.kind == 'median'

    def constant(self, num_classes: int) -> np.ndarray:
        """Thresholds that no prediction changes.

        Args:
            num_classes: K.

        Returns:
            float32 ``(K,)``.
        """
        return np.full(num_classes, self.value or 0.0, np.float32)


def threshold_rule(words: Sequence[str], quantile: float = 0.5, cap: float = 0.9) -> ThresholdRule:
    """The rule that words name, as ``--threshold`` takes them.

    Args:
        words: ``'median'``, ``'none'``, or ``'fixed'`` and a number.
        quantile: See :class:`ThresholdRule`.
        cap: The same.

    Raises:
        UserInputError: If they make no rule.
    """
    kind, *values = words or ['']
    try:
        numbers = [float(value) for value in values]
    except ValueError:
        numbers = []
    if len(numbers) != len(values) or len(numbers) > 1:
        raise UserInputError(
            f'the threshold is {" ".join(words)!r}: expected "median", "none", or "fixed" and a number; correct it'
        )
    return ThresholdRule(kind, numbers[0] if numbers else None, quantile, cap).check()


def class_thresholds(
    guesses: Callable[[], Iterable[Guess]],
    num_classes: int,
    rule: ThresholdRule,
    total: Callable[[np.ndarray], np.ndarray] = lambda counts: counts,
) -> np.ndarray:
    """Thresholds of the rule ``'median'``.

    Args:
        guesses: Gives all predictions; called twice.
        num_classes: K.
        rule: ``quantile`` and ``cap``.
        total: Adds counts, int64, over the processes that share the images. Defaults to one process.

    Returns:
        float32 ``(K,)``: exactly the confidences that sorting would give, capped; 0 for a class that is nowhere.
    """
    upper = total(_histograms(guesses(), num_classes, None))
    counts = upper.sum(axis=1)
    # Python and numpy round a half to the even number, as the released code does.
    ranks = np.minimum(np.round(counts * rule.quantile).astype(np.int64), np.maximum(counts - 1, 0))
    high, ranks = _find(upper, ranks)
    lower = total(_histograms(guesses(), num_classes, high))
    low, _ = _find(lower, ranks)
    found = ((high << 16) | low).astype(np.uint32).view(np.float32)
    return np.where(counts > 0, np.minimum(found, np.float32(rule.cap)), np.float32(0))


def _histograms(guesses: Iterable[Guess], num_classes: int, upper: np.ndarray | None) -> np.ndarray:
    """How often each upper half of the bits occurs, by class; or each lower half beside the given upper ones."""
    counts = np.zeros(num_classes * _BINS, np.int64)
    for classes, confidence in guesses:
        bits = np.ascontiguousarray(confidence, np.float32).view(np.uint32).astype(np.int64)
        place = classes.astype(np.int64) * _BINS
        if upper is None:
            place += bits >> 16
        else:
            chosen = (bits >> 16) == upper[classes]
            place = place[chosen] + (bits[chosen] & 0xFFFF)
        counts += np.bincount(place.ravel(), minlength=counts.size)
    return counts.reshape(num_classes, _BINS)


def _find(histograms: np.ndarray, ranks: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The bin in which the value of a rank lies, and its rank within the bin, for each class."""
    below = histograms.cumsum(axis=1)
    bins = np.minimum((below <= ranks[:, None]).sum(axis=1), _BINS - 1)
    before = np.where(bins > 0, below[np.arange(len(bins)), bins - 1], 0)
    return bins, ranks - before


def sure_labels(guess: Guess, thresholds: np.ndarray) -> np.ndarray:
    """Labels of the predictions that are sure enough.

    Args:
        guess: The prediction.
        thresholds: float32 ``(K,)``.

    Returns:
        uint8 ``(h, w)``: the class where the confidence is at least its threshold, else 255.
    """
    kept = guess.confidence >= thresholds[guess.classes]
    return np.where(kept, guess.classes, np.uint8(IGNORE_INDEX))
