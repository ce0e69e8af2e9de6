"""The confusion matrix of one image, from a single pass over its pixels."""

from __future__ import annotations

import torch
from torch import Tensor

from ..datasets.file_check import DatasetCheckError
from ..label_ids import foreign_ids_fault

#: Values that an 8-bit label can hold.
_NUM_LABEL_VALUES = 256


def confusion_matrix(
    prediction: Tensor,
    label: Tensor,
    num_classes: int,
    ignore_index: int = 255,
    name: str = 'the label',
) -> Tensor:
    """Count the pixels of every pair of true and predicted class.

    One ``bincount`` over ``label * num_classes + prediction`` counts ignored pixels and wrong ids in
    rows of their own, so there is no mask, and nothing that is not a class can pass for one.

    Args:
        prediction: Class ids of any integer type, shape ``(H, W)``, on any device.
        label: True ids, shape ``(H, W)``: classes and ``ignore_index``.
        num_classes: Number of classes K.
        ignore_index: Id of the pixels that do not count.
        name: File of the label, for the message.

    Returns:
        ``(K, K)`` int64 on the CPU: ``[true class, predicted class]``.

    Raises:
        DatasetCheckError: If the label holds an id that is neither a class nor ``ignore_index``, or
            differs from the prediction in size.
        ValueError: If the prediction holds an id that is no class.
    """
    if prediction.shape != label.shape:
        raise DatasetCheckError(
            f'The label {name!r} has the shape {tuple(label.shape)}, its prediction '
            f'{tuple(prediction.shape)}: expected one size; load labels after Resize.'
        )
    if prediction.numel() == 0:
        return torch.zeros(num_classes, num_classes, dtype=torch.int64)
    _check_range(prediction, num_classes, f'The prediction for {name!r}')
    if label.dtype != torch.uint8:
        _check_range(label, _NUM_LABEL_VALUES, f'The label {name!r}', DatasetCheckError)
    index = label.to(prediction.device, torch.int32).mul(num_classes).add(prediction.int())
    counts = torch.bincount(index.flatten(), minlength=_NUM_LABEL_VALUES * num_classes)
    counts = counts.cpu().view(_NUM_LABEL_VALUES, num_classes)
    found = counts.any(dim=1).nonzero().flatten().tolist()
    fault = foreign_ids_fault(f'The label {name!r}', found, num_classes, ignore_index)
    if fault is not None:
        raise DatasetCheckError(fault)
    matrix = counts[:num_classes]
    if ignore_index < num_classes:
        matrix = matrix.clone()
        matrix[ignore_index] = 0
    return matrix


def present_iou(matrix: Tensor) -> float:
    """Mean IoU of one image over the classes in its ground truth.

    Args:
        matrix: Counts ``(K, K)``: ``[true class, predicted class]``.

    Returns:
        Percent; NaN if nothing is labelled.
    """
    hits, truth = matrix.diagonal().double(), matrix.sum(1).double()
    union = truth + matrix.sum(0) - hits
    present = truth > 0
    return float(100 * (hits[present] / union[present]).mean())


def _check_range(ids: Tensor, limit: int, what: str, error: type[ValueError] = ValueError) -> None:
    low, high = (int(bound) for bound in torch.aminmax(ids))
    if low < 0 or high >= limit:
        raise error(
            f'{what} holds the ids {low} to {high}: expected 0 to {limit - 1}; '
            'the number of classes of the model, the data set and the metric must agree.'
        )
