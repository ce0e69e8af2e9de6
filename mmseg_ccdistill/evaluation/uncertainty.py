r"""UIoU: the IoU of a segmentor that may reject pixels, on labels that say which ones nobody can read.

Sakaridis et al., "Guided Curriculum Model Adaptation and Uncertainty-Aware Evaluation", ICCV 2019.
Dark Zurich and ACDC mark the pixels whose content a person cannot recognise at night as *invalid*
(``_gt_invIds.png``: 1 invalid, 0 valid); most of them still carry a class, annotated with the help
of the day image. A segmentor rejects the pixels whose confidence is below a threshold
:math:`\theta`. For class c, over the pixels that have a label,

.. math:: UIoU_c(\theta) = \frac{TP + TI}{TP + TI + FP + FN + FI}

where TP, FP, FN count accepted pixels only, TI pixels of class c that are rejected and invalid, FI
pixels of class c that are rejected although valid. Where nothing is rejected, UIoU = IoU.

The benchmark's own evaluation code is not public outside its server. Our reading where the paper
leaves room: a pixel is rejected if its confidence is *below* the threshold; a rejected pixel counts
for its true class only; the confidence is the softmax probability of the predicted class; average
UIoU is the mean of the mean UIoU over thresholds spaced evenly from 1/K, below which no largest
probability can lie, to 1; classes are averaged as in mIoU, i.e. those with an empty union are left
out. Numbers of the server may differ in the last digits.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

#: Number of thresholds that average UIoU is taken over; the benchmark's own is not published.
NUM_THRESHOLDS = 100


class UncertaintyCounts(NamedTuple):
    """Pixels by class and confidence: all that UIoU needs, and additive over images.

    Bin ``b`` holds the confidences that reach exactly ``b`` of the thresholds, so that threshold
    ``k`` accepts the bins above ``k``.

    Attributes:
        correct: Pixels predicted rightly, ``(K, T + 1)`` int64.
        predicted: Pixels by predicted class, ``(K, T + 1)``.
        valid: Valid pixels by true class, ``(K, T + 1)``.
        invalid: Invalid pixels by true class, ``(K, T + 1)``.
    """

    correct: np.ndarray
    predicted: np.ndarray
    valid: np.ndarray
    invalid: np.ndarray

    def __add__(self, other: object) -> UncertaintyCounts:  # type: ignore[override]
        """Sum the counts of two sets of images."""
        if not isinstance(other, UncertaintyCounts):
            return NotImplemented
        return UncertaintyCounts(*(a + b for a, b in zip(self, other, strict=True)))


def average_thresholds(num_classes: int, count: int = NUM_THRESHOLDS) -> np.ndarray:
    """Thresholds that average UIoU is taken over: evenly from 1/K to 1.

    Args:
        num_classes: Number of classes K.
        count: Number of thresholds.

    Returns:
        ``(count,)`` float32, ascending.
    """
    return np.linspace(1 / num_classes, 1, count).astype(np.float32)


def predicted_confidence(logits: Tensor, prediction: Tensor) -> Tensor | None:
    """Softmax probability of the predicted class.

    Args:
        logits: Scores, shape ``(K, H, W)``.
        prediction: Class ids, shape ``(H, W)``.

    Returns:
        ``(H, W)`` float32, or None if the prediction is not the largest score everywhere, as after
        test-time augmentation: such scores say nothing about it. NaN where a score is not finite.
    """
    logits = logits.float()
    shifted = logits - logits.gather(0, prediction.long()[None])
    if float(shifted.amax()) > 0:
        return None
    return shifted.exp_().sum(0).reciprocal_()


def uncertainty_counts(
    prediction: Tensor,
    label: Tensor,
    confidence: Tensor,
    invalid: Tensor,
    thresholds: np.ndarray,
    num_classes: int,
) -> UncertaintyCounts:
    """Sort the pixels of one image by true class, predicted class, validity and confidence.

    Args:
        prediction: Class ids, shape ``(H, W)``.
        label: True ids, shape ``(H, W)``; ids above the classes are ignored.
        confidence: Confidence of the prediction in [0, 1], shape ``(H, W)``.
        invalid: True where the ground truth is invalid, shape ``(H, W)``.
        thresholds: Ascending thresholds, shape ``(T,)`` float32.
        num_classes: Number of classes K.
    """
    device = prediction.device
    limits = torch.from_numpy(thresholds).to(device)
    num_bins = len(thresholds) + 1
    bins = torch.bucketize(confidence.float(), limits, right=True, out_int32=True)
    truth = label.to(device).int().clamp(max=num_classes)  # the last row takes what is ignored
    index = truth.mul_(num_classes).add_(prediction.int()).mul_(2).add_(invalid.to(device).int())
    index = index.mul_(num_bins).add_(bins)
    shape = (num_classes + 1, num_classes, 2, num_bins)
    flat = torch.bincount(index.flatten(), minlength=int(np.prod(shape)))
    counts = flat.cpu().numpy().reshape(shape)[:num_classes]
    diagonal = np.arange(num_classes)
    return UncertaintyCounts(
        correct=counts[diagonal, diagonal].sum(1),
        predicted=counts.sum((0, 2)),
        valid=counts[:, :, 0].sum(1),
        invalid=counts[:, :, 1].sum(1),
    )


def uiou(counts: UncertaintyCounts) -> np.ndarray:
    """UIoU of every class at every threshold: ``(T, K)`` float64 in [0, 1]; NaN where the union is empty."""

    def accepted(bins: np.ndarray) -> np.ndarray:
        return bins[:, ::-1].cumsum(1)[:, ::-1][:, 1:]

    true_positive = accepted(counts.correct)
    true_invalid = counts.invalid.cumsum(1)[:, :-1]
    hits = true_positive + true_invalid
    # TP + FN + TI + FI are all pixels of the class, whatever was rejected.
    truth = (counts.valid + counts.invalid).sum(1, keepdims=True)
    union = truth + accepted(counts.predicted) - true_positive
    with np.errstate(invalid='ignore'):
        return (hits / union).T
