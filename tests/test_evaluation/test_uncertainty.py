"""UIoU against loops over pixels that follow the definition word by word."""

from __future__ import annotations

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mmseg_ccdistill.evaluation.uncertainty import (
    UncertaintyCounts,
    average_thresholds,
    predicted_confidence,
    uiou,
    uncertainty_counts,
)


def by_definition(prediction, label, confidence, invalid, threshold, num_classes):
    """UIoU of each class: one pixel at a time."""
    values = []
    for c in range(num_classes):
        tp = ti = fp = fn = fi = 0
        for p, g, conf, inv in zip(
            prediction.ravel(), label.ravel(), confidence.ravel(), invalid.ravel(), strict=True
        ):
            if g == 255:
                continue
            if conf < threshold:  # predicted invalid
                if g == c:
                    ti, fi = ti + bool(inv), fi + (not inv)
            elif p == c and g == c:
                tp += 1
            elif p == c:
                fp += 1
            elif g == c:
                fn += 1
        union = tp + ti + fp + fn + fi
        values.append((tp + ti) / union if union else float('nan'))
    return np.array(values)


def random_case(seed, num_classes=5, shape=(7, 9)):
    rng = np.random.RandomState(seed)
    prediction = rng.randint(0, num_classes, shape)
    label = rng.choice([*range(num_classes - 1), 255], shape)  # the last class is absent
    confidence = rng.uniform(1 / num_classes, 1, shape).astype(np.float32)
    return prediction, label, confidence, rng.rand(*shape) < 0.3


def count(case, thresholds, num_classes=5) -> UncertaintyCounts:
    prediction, label, confidence, invalid = map(torch.from_numpy, case)
    return uncertainty_counts(prediction, label, confidence, invalid, thresholds, num_classes)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**31 - 1))
def test_counts_follow_the_definition(seed) -> None:
    case = random_case(seed)
    thresholds = np.array([0.0, 0.35, 0.6, float(case[2][0, 0]), 1.01], np.float32)
    thresholds.sort()
    found = uiou(count(case, thresholds))
    for row, threshold in zip(found, thresholds, strict=True):
        np.testing.assert_allclose(row, by_definition(*case, threshold, 5), rtol=1e-12)


def test_counts_add_up_over_images() -> None:
    cases = [random_case(seed) for seed in (1, 2)]
    thresholds = average_thresholds(5, 7)
    total = count(cases[0], thresholds) + count(cases[1], thresholds)
    both = [np.concatenate([a, b]) for a, b in zip(*cases, strict=True)]
    np.testing.assert_array_equal(uiou(total), uiou(count(both, thresholds)))


def test_uiou_is_iou_where_nothing_is_rejected() -> None:
    prediction, label, confidence, invalid = random_case(3)
    found = uiou(count((prediction, label, confidence, invalid), np.array([0.0], np.float32)))[0]
    valid = label != 255
    for c in range(5):
        hit = ((prediction == c) & (label == c)).sum()
        union = (((prediction == c) | (label == c)) & valid).sum()
        assert found[c] == hit / union


def test_rejecting_exactly_the_wrong_invalid_pixels_helps_and_valid_ones_hurt() -> None:
    """By hand: 4 pixels of class 0, one wrong. Rejected while invalid: 4/4. While valid: 3/4."""
    prediction, label = np.array([[0, 0, 0, 1]]), np.array([[0, 0, 0, 0]])
    confidence = np.array([[0.9, 0.9, 0.9, 0.6]], np.float32)
    thresholds = np.array([0.5, 0.7], np.float32)
    wrong_is_invalid = np.array([[False, False, False, True]])
    found = uiou(count((prediction, label, confidence, wrong_is_invalid), thresholds, 2))
    np.testing.assert_array_equal(found[:, 0], [3 / 4, 1.0])
    assert found[0, 1] == 0 and np.isnan(found[1, 1])  # the only prediction of class 1 is gone
    found = uiou(count((prediction, label, confidence, ~wrong_is_invalid), thresholds, 2))
    np.testing.assert_array_equal(found[:, 0], [3 / 4, 3 / 4])


def test_thresholds_run_from_chance_to_certainty() -> None:
    thresholds = average_thresholds(19)
    assert len(thresholds) == 100 and np.all(np.diff(thresholds) > 0)
    assert thresholds[0] == np.float32(1 / 19) and thresholds[-1] == 1


def test_confidence_is_the_largest_softmax_probability() -> None:
    logits = torch.from_numpy(np.random.RandomState(0).standard_normal((19, 6, 5)) * 4).float()
    prediction = logits.argmax(0)
    np.testing.assert_allclose(
        predicted_confidence(logits, prediction), logits.double().softmax(0).amax(0), rtol=1e-5
    )
    half = predicted_confidence(logits.half(), logits.half().float().argmax(0))
    assert half is not None and half.dtype == torch.float32
    prediction[2, 2] = (prediction[2, 2] + 1) % 19
    assert predicted_confidence(logits, prediction) is None
