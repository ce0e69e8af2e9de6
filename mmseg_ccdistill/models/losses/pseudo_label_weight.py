"""Pseudo labels of unlabelled images, and how much each pixel of them counts."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from mmengine.dist import all_reduce
from mmseg.registry import MODELS
from torch import Tensor, nn

from ...errors import UserInputError

#: How a pseudo label is weighted, see :class:`PseudoLabelWeight`.
WEIGHT_FORMS = ('ratio', 'ratio_image', 'confidence', 'class_quantile')

#: Numbers that a form reads.
_READS: dict[str, tuple[str, ...]] = {
    'ratio': ('threshold',),
    'ratio_image': ('threshold',),
    'class_quantile': ('keep', 'momentum', 'start'),
}

#: What a number is that was not given.
_DEFAULTS = dict(threshold=0.968, keep=0.5, momentum=0.9, start=0.5)

#: Smallest threshold that a probability is divided by.
_EPS = 1e-6


def confident_ratio(confidence: Tensor, threshold: float, per_image: bool = False) -> Tensor:
    """Share of the pixels that reach a confidence, at each of them (DACS, DAFormer).

    Args:
        confidence (Tensor): Largest probability of each pixel, ``(B, H, W)``.
        threshold (float): The confidence.
        per_image (bool): The share of each image instead of that of the batch. Defaults to False.

    Returns:
        Tensor: ``(B, H, W)``; one value in all pixels that the share was counted over.
    """
    reached = (confidence >= threshold).to(confidence.dtype)
    share = reached.mean((1, 2), keepdim=True) if per_image else reached.mean()
    return share.expand_as(confidence)


def class_quantiles(
    labels: Tensor, confidence: Tensor, num_classes: int, keep: float
) -> tuple[Tensor, Tensor]:
    """Confidence that the best share of the pixels of each class reaches, and the number of its pixels.

    No value is read on the host and nothing is picked by a mask: the pixels are sorted by class and confidence, and
    the wanted one of each class is gathered.

    Args:
        labels (Tensor): Class of each pixel, int64 of any shape, from 0 to ``num_classes`` - 1.
        confidence (Tensor): Same shape, in [0, 1].
        num_classes (int): Number of classes K.
        keep (float): The share, in (0, 1].

    Returns:
        tuple: Confidences ``(K,)`` float64, one of the class's own values, or 0 where it has no pixel; numbers
        ``(K,)`` int64.
    """
    keys = (confidence.double().clamp(0, 1) + 2 * labels).flatten().sort().values
    firsts = 2.0 * torch.arange(num_classes, device=keys.device, dtype=keys.dtype)
    start = torch.searchsorted(keys, firsts)
    counts = torch.searchsorted(keys, firsts + 1, right=True) - start
    below = ((1 - keep) * (counts - 1).clamp_min(0)).floor().long()
    found = keys.gather(0, (start + below).clamp_max(keys.numel() - 1)) - firsts
    return torch.where(counts > 0, found, torch.zeros_like(found)), counts


def _check_numbers(form: str, given: Mapping[str, float]) -> None:
    """Refuse numbers that a form does not read, and those out of their range."""
    reads = _READS.get(form, ())
    for name, value in given.items():
        if name not in reads:
            known = ' and '.join(', '.join(reads).rsplit(', ', 1)) or 'no number'
            raise UserInputError(
                f'PseudoLabelWeight: {name}={value} has no effect with form={form!r}, which reads {known}: set '
                f'{name}=None, or another form.'
            )
        is_number = isinstance(value, int | float)
        if name == 'momentum' and not (is_number and 0 <= value < 1):
            raise UserInputError(
                f'PseudoLabelWeight: momentum must be at least 0 and below 1, got {value!r}.'
            )
        if name != 'momentum' and not (is_number and 0 < value <= 1):
            raise UserInputError(
                f'PseudoLabelWeight: {name} must be above 0 and at most 1, got {value!r}.'
            )


@MODELS.register_module()
class PseudoLabelWeight(nn.Module):
    r"""Labels of a teacher's probabilities p, and the weight q of each pixel.

    - ``'ratio'``: label argmax p; q is the share of the batch's pixels with :math:`\max p \ge` ``threshold``: one
      number for all pixels (DACS, DAFormer).
    - ``'ratio_image'``: the same, counted for each image.
    - ``'confidence'``: label argmax p, :math:`q = \max p`.
    - ``'class_quantile'``: each class has a threshold :math:`t_c`, the running confidence of the best ``keep`` of the
      pixels that it wins; label :math:`\operatorname{argmax}_c p_c / t_c`, q = 1 where it is at least 1, else 0.
      So a rare class keeps as large a share of its pixels as a frequent one. Thresholds begin at ``start`` and move by
      :math:`t_c \leftarrow m t_c + (1 - m) \hat t_c`; a class without a pixel keeps its own. They are in the state
      dict, and equal in all processes.

    Args:
        form (str): One of :data:`WEIGHT_FORMS`. Defaults to ``'class_quantile'``.
        num_classes (int): Number of classes K. Defaults to 19.
        threshold (float, optional): Of the two ratios. Defaults to None, 0.968 (DACS, DAFormer).
        keep (float, optional): Of class-wise quantiles: share of the pixels of a class that count. Defaults to None,
            0.5.
        momentum (float, optional): Of the same: m. Defaults to None, 0.9.
        start (float, optional): Of the same: first thresholds. Defaults to None, 0.5.

    Raises:
        UserInputError: On an unknown form, a number that it does not read, or one out of its range.
    """

    thresholds: Tensor

    def __init__(
        self,
        form: str = 'class_quantile',
        num_classes: int = 19,
        threshold: float | None = None,
        keep: float | None = None,
        momentum: float | None = None,
        start: float | None = None,
    ) -> None:
        super().__init__()
        if form not in WEIGHT_FORMS:
            raise UserInputError(
                f'PseudoLabelWeight: form must be one of {WEIGHT_FORMS}, got {form!r}.'
            )
        numbers = dict(threshold=threshold, keep=keep, momentum=momentum, start=start)
        given = {name: value for name, value in numbers.items() if value is not None}
        _check_numbers(form, given)
        threshold, keep, momentum, start = (
            given.get(name, default) for name, default in _DEFAULTS.items()
        )
        self.form = form
        self.num_classes = num_classes
        self.threshold = threshold
        self.keep = keep
        self.momentum = momentum
        if form == 'class_quantile':
            thresholds = torch.full((num_classes,), start, dtype=torch.double)
            self.register_buffer('thresholds', thresholds)

    @torch.no_grad()
    def forward(self, probabilities: Tensor) -> tuple[Tensor, Tensor]:
        """Labels and weights; moves the thresholds of ``'class_quantile'`` first.

        Args:
            probabilities (Tensor): p, ``(B, K, H, W)``.

        Returns:
            tuple: Labels ``(B, H, W)`` int64 and weights ``(B, H, W)``, without a graph.
        """
        confidence, labels = probabilities.max(1)
        if self.form == 'confidence':
            return labels, confidence
        if self.form != 'class_quantile':
            per_image = self.form == 'ratio_image'
            return labels, confident_ratio(confidence, self.threshold, per_image)
        self.move_thresholds(labels, confidence)
        scale = self.thresholds.clamp_min(_EPS).to(probabilities.dtype).view(1, -1, 1, 1)
        ratio, labels = (probabilities / scale).max(1)
        return labels, (ratio >= 1).to(probabilities.dtype)

    @torch.no_grad()
    def move_thresholds(self, labels: Tensor, confidence: Tensor) -> None:
        """Move the thresholds towards those of one batch, of all processes.

        Args:
            labels (Tensor): Class that wins each pixel, ``(B, H, W)`` int64.
            confidence (Tensor): Its probability, same shape.
        """
        found, counts = class_quantiles(labels, confidence, self.num_classes, self.keep)
        sums = torch.stack([found, (counts > 0).to(found.dtype)])
        all_reduce(sums)
        mean = sums[0] / sums[1].clamp_min(1)
        moved = torch.lerp(mean, self.thresholds, self.momentum)
        self.thresholds.copy_(torch.where(sums[1] > 0, moved, self.thresholds))
