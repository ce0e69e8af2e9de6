"""Thresholds of pseudo labels: the published rule, to the last bit of a sorted list, and its golden numbers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from golden_maps import normal
from torch.nn import functional

from mmseg_ccdistill.engine.pseudo_labels.guesses import best_guess
from mmseg_ccdistill.engine.pseudo_labels.thresholds import (
    Guess,
    ThresholdRule,
    class_thresholds,
    sure_labels,
)
from mmseg_ccdistill.errors import UserInputError

MEDIAN = ThresholdRule()


def line(values: tuple[float, ...], klass: int = 0) -> Guess:
    """A prediction of one class with these confidences."""
    confidence = np.array([values], np.float32)
    return Guess(np.full(confidence.shape, klass, np.uint8), confidence)


def golden_guesses() -> list[Guess]:
    """Six images of 64 x 96 from the golden maps: z = 3 N(3100 + i), softmax, then upsampled with corners aligned."""
    maps = [3 * normal(3100 + i, 1, 19, 9, 13) for i in range(6)]
    return [best_guess(z.softmax(1)[0], (64, 96), (64, 96), True) for z in maps]


def test_golden_numbers_of_six_images() -> None:
    guesses = golden_guesses()
    thresholds = class_thresholds(lambda: guesses, 19, MEDIAN)
    expected = [0.33597305, 0.35385686, 0.36503799, 0.38669382, 0.31896488]
    # The numbers have 8 digits, and confidences are float32.
    np.testing.assert_allclose(thresholds[[0, 5, 12, 14, 18]], expected, rtol=0, atol=3e-8)
    labels = np.stack([sure_labels(guess, thresholds) for guess in guesses])
    classes = np.stack([guess.classes for guess in guesses])
    kept = labels != 255
    assert labels.size == 36864 and kept.sum() == 18433
    assert labels.sum(dtype=np.int64) == 4870403
    assert [(kept[classes == k].sum(), (classes == k).sum()) for k in (0, 12)] == [
        (869, 1737),
        (1308, 2616),
    ]


def test_upsampled_logits_would_give_other_labels() -> None:
    """The pitfall next to it, which the golden numbers tell apart."""
    guesses = []
    for i in range(6):
        z = functional.interpolate(
            3 * normal(3100 + i, 1, 19, 9, 13), (64, 96), mode='bilinear', align_corners=True
        )
        confidence, classes = z.softmax(1)[0].max(0)
        guesses.append(
            Guess(classes.numpy().astype(np.uint8), confidence.numpy().astype(np.float32))
        )
    thresholds = class_thresholds(lambda: guesses, 19, MEDIAN)
    expected = [0.39864073, 0.43090589, 0.44959197, 0.44003469, 0.37884062]
    np.testing.assert_allclose(thresholds[[0, 5, 12, 14, 18]], expected, rtol=0, atol=3e-8)
    assert sum((sure_labels(guess, thresholds) != 255).sum() for guess in guesses) == 18435


@pytest.mark.parametrize(
    ('values', 'threshold', 'kept'),
    [
        ((0.3, 0.5, 0.7, 0.95), 0.7, 2),
        ((0.91, 0.92, 0.93, 0.95, 0.99), 0.9, 5),
        ((0.2,), 0.2, 1),
        ((0.2, 0.4, 0.6), 0.6, 1),  # round(1.5) is 2
    ],
)
def test_a_class_by_hand(values: tuple[float, ...], threshold: float, kept: int) -> None:
    guess = line(values)
    found = class_thresholds(lambda: [guess], 2, MEDIAN)
    assert found.tolist() == [np.float32(threshold), 0]
    assert (sure_labels(guess, found) == 0).sum() == kept
    assert (sure_labels(guess, found) == 255).sum() == len(values) - kept


@pytest.mark.parametrize('quantile', [0.0, 0.2, 0.5, 0.8, 1.0])
def test_two_histograms_give_what_sorting_gives(quantile: float) -> None:
    """To the last bit, with ties, values that share their upper bits, and a class that is nowhere."""
    random = np.random.RandomState(0)
    guesses = []
    for _ in range(3):
        confidence = random.uniform(0.05, 1, (40, 50)).astype(np.float32)
        confidence[:10] = np.float32(0.75) + random.randint(0, 9, (10, 50)) * np.float32(2**-24)
        confidence[10:12] = 1
        guesses.append(Guess(random.choice([0, 1, 3], (40, 50)).astype(np.uint8), confidence))
    rule = ThresholdRule(quantile=quantile, cap=1.0)
    found = class_thresholds(lambda: iter(guesses), 4, rule)
    classes = np.concatenate([guess.classes.ravel() for guess in guesses])
    confidence = np.concatenate([guess.confidence.ravel() for guess in guesses])
    for k in range(4):
        x = np.sort(confidence[classes == k])
        rank = min(int(np.round(len(x) * quantile)), len(x) - 1)
        assert found[k] == (x[rank] if len(x) else 0), k


def test_rules_without_all_images() -> None:
    assert ThresholdRule('none').constant(3).tolist() == [0, 0, 0]
    fixed = ThresholdRule('fixed', 0.5).constant(2)
    assert sure_labels(line((0.4, 0.5, 0.6)), fixed).tolist() == [[255, 0, 0]]
    assert [ThresholdRule(kind).needs_all_images for kind in ('median', 'none', 'fixed')] == [
        True,
        False,
        False,
    ]


@pytest.mark.parametrize(
    ('rule', 'sentence'),
    [
        (
            dict(kind='mean'),
            "the threshold is 'mean': expected one of ('median', 'none', 'fixed'); correct it",
        ),
        (
            dict(kind='fixed'),
            "the threshold is 'fixed' with the value None: expected a value with 'fixed' and none with the others; "
            'correct it',
        ),
        (
            dict(kind='none', value=0.5),
            "the threshold is 'none' with the value 0.5: expected a value with 'fixed' and none with the others; "
            'correct it',
        ),
        (dict(cap=1.5), 'the cap of the threshold is 1.5: expected 0 to 1; correct it'),
        (
            dict(quantile=float('nan')),
            'the quantile of the threshold is nan: expected 0 to 1; correct it',
        ),
        (
            dict(kind='none', quantile=0.2),
            "the threshold is 'none' with the quantile 0.2: expected it with 'median' alone; leave it out",
        ),
        (
            dict(kind='fixed', value=0.5, cap=0.1),
            "the threshold is 'fixed' with the cap 0.1: expected it with 'median' alone; leave it out",
        ),
    ],
)
def test_a_rule_that_cannot_be(rule: dict[str, Any], sentence: str) -> None:
    with pytest.raises(UserInputError) as caught:
        ThresholdRule(**rule).check()
    assert str(caught.value) == sentence


def test_ties_go_to_the_lowest_class_and_padding_is_cut_off() -> None:
    guess = best_guess(torch.full((3, 2, 2), 1 / 3, dtype=torch.float64), (4, 4), (4, 3), False)
    assert guess.confidence.dtype == np.float32 and guess.classes.dtype == np.uint8
    assert guess.classes.shape == (4, 3) and not guess.classes.any()
