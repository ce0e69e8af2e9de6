"""Weighted cross-entropy, L_seg on S_d and S_n."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from mmseg.registry import MODELS
from torch import Tensor, nn
from torch.nn import functional as F

from ...errors import UserInputError
from ...label_ids import foreign_ids_fault
from ..precision import autocast_off, full_precision
from .class_weights import CITYSCAPES_CLASSES, ClassWeight, resolve_class_weight


@MODELS.register_module()
class WeightedCrossEntropyLoss(nn.Module):
    r"""Cross-entropy with class weights and an ignored label, averaged as in torch.

    .. math:: L = \frac{\sum_i w_{y_i} \, (-\ln p_{i, y_i})}{\sum_i w_{y_i}}

    over the pixels whose label is not ``ignore_index``. MMSegmentation's own ``CrossEntropyLoss``
    indexes its weights with the ignored label in some versions and averages over all pixels in
    others; this one does neither. No valid pixel: 0, with a zero gradient.

    Args:
        class_weight (str | Sequence[float], optional): ``'balanced'``: weights from Cityscapes'
            class frequencies with spread 0.05, found by the names in ``classes``. A list: one
            weight per class. None: equal weights. Defaults to None.
        loss_weight (float): Weight of the loss. Defaults to 1.0.
        ignore_index (int): Label without loss. Defaults to 255.
        loss_name (str): Key in the log; must start with ``loss_`` to be optimised. Defaults to
            ``'loss_seg'``.
        classes (Sequence[str]): Names of the classes in the order of their ids, read with
            ``'balanced'`` only; a check at the start compares them with the data. Defaults to the
            19 of Cityscapes.

    Raises:
        ValueError: If the class weights make no sense, or ``'balanced'`` meets a class that
            Cityscapes does not have.
    """

    class_weight: Tensor | None

    def __init__(
        self,
        class_weight: ClassWeight = None,
        loss_weight: float = 1.0,
        ignore_index: int = 255,
        loss_name: str = 'loss_seg',
        classes: Sequence[str] = CITYSCAPES_CLASSES,
    ) -> None:
        super().__init__()
        self.loss_weight = loss_weight
        self.ignore_index = ignore_index
        self._loss_name = loss_name
        # Not persistent: a checkpoint of the model holds nothing of its losses.
        weight = resolve_class_weight(class_weight, classes=classes)
        self.register_buffer('class_weight', weight, persistent=False)

    def forward(
        self,
        pred: Tensor,
        label: Tensor,
        weight: Tensor | None = None,
        avg_factor: float | None = None,
        reduction_override: str | None = None,
        ignore_index: int | None = None,
    ) -> Tensor:
        """The weighted loss, in float32 (float64 stays float64) whatever autocast says.

        Args:
            pred (Tensor): Logits ``(B, K, H, W)``.
            label (Tensor): Class indices ``(B, H, W)``, int64.
            weight (Tensor, optional): Weight per pixel ``(B, H, W)``, e.g. from a pixel sampler. It
                multiplies the class weight in numerator and denominator. Defaults to None.
            avg_factor (float, optional): Denominator instead of the sum of weights. Defaults to
                None.
            reduction_override (str, optional): ``'none'``: weighted loss per pixel ``(B, H, W)``;
                ``'sum'``: their sum; None or ``'mean'``: the average. Defaults to None.
            ignore_index (int, optional): Label without loss. Defaults to None, the constructor's.

        Returns:
            Tensor: Scalar, or ``(B, H, W)`` for ``'none'``.

        Raises:
            ValueError: On an unknown reduction, a denominator without an average, a number of class
                weights that is not K, or (on the CPU) a label that no class has. On a GPU torch ends
                the process at such a label; ``DataGuardHook`` finds it before.
        """
        if reduction_override not in (None, 'none', 'mean', 'sum'):
            raise ValueError(
                f"reduction_override must be 'none', 'mean' or 'sum', got {reduction_override!r}."
            )
        if avg_factor is not None and reduction_override in ('none', 'sum'):
            raise ValueError(
                f'avg_factor belongs to an average, not to reduction {reduction_override!r}.'
            )
        if self.class_weight is not None and self.class_weight.numel() != pred.shape[1]:
            raise UserInputError(
                f'WeightedCrossEntropyLoss: {self.class_weight.numel()} class weights for logits '
                f'of {pred.shape[1]} classes: give class_weight as a list with one value per '
                'class, or None.'
            )
        ignore_index = self.ignore_index if ignore_index is None else ignore_index
        with autocast_off(pred):
            logits = full_precision(pred)
            class_weight = None if self.class_weight is None else self.class_weight.to(logits.dtype)
            label = label.long()
            if weight is None and avg_factor is None and reduction_override in (None, 'mean'):
                mean = _cross_entropy(logits, label, class_weight, ignore_index, 'mean')
                # 0 / 0 without a valid pixel. The gradient is 0 already: ignored pixels have none.
                return self.loss_weight * torch.where(
                    (label != ignore_index).any(), mean, torch.zeros_like(mean)
                )
            loss = _cross_entropy(logits, label, class_weight, ignore_index, 'none')
            if weight is not None:
                loss = loss * weight.to(loss.dtype)
            if reduction_override == 'none':
                return self.loss_weight * loss
            if reduction_override == 'sum':
                return self.loss_weight * loss.sum()
            if avg_factor is not None:
                return self.loss_weight * loss.sum() / avg_factor
            total = self._total_weight(logits, label, weight, ignore_index)
            return self.loss_weight * loss.sum() / total

    @torch.no_grad()
    def _total_weight(
        self, logits: Tensor, label: Tensor, weight: Tensor | None, ignore_index: int
    ) -> Tensor:
        """Sum of the weights of the valid pixels, at least a tiny positive number."""
        valid = label != ignore_index
        total = valid.to(logits.dtype)
        if self.class_weight is not None:
            total = total * self.class_weight.to(logits.dtype)[label.masked_fill(~valid, 0)]
        if weight is not None:
            total = total * weight.to(logits.dtype)
        return total.sum().clamp_min(torch.finfo(logits.dtype).eps)

    @property
    def loss_name(self) -> str:
        """Key of the loss in the log."""
        return self._loss_name


def _cross_entropy(
    logits: Tensor, label: Tensor, class_weight: Tensor | None, ignore_index: int, reduction: str
) -> Tensor:
    """``F.cross_entropy`` that says which labels it cannot take."""
    try:
        return F.cross_entropy(
            logits, label, class_weight, ignore_index=ignore_index, reduction=reduction
        )
    except IndexError as error:
        what = 'A label of the batch in WeightedCrossEntropyLoss'
        fault = foreign_ids_fault(what, label.unique().tolist(), logits.shape[1], ignore_index)
        if fault is None:
            raise
        raise UserInputError(fault) from error
