"""The class of the largest weighted probability, in one pass over the logits."""

from __future__ import annotations

from torch import Tensor, cat

#: Rows of a strip on a CPU: what is added to a strip stays in the processor's cache.
STRIP_ROWS = 64


def strongest_class(logits: Tensor, log_weight: Tensor | None = None) -> Tensor:
    """Class of the largest ``w softmax(z)``, which is that of the largest ``z + ln w``.

    The denominator of the softmax is common to all classes, so none is computed. On a CPU the map is worked through in
    strips of rows, so that no copy of all scores is written to memory; on a GPU in one piece.

    Args:
        logits: ``(B, K, H, W)``.
        log_weight: ``(1, K, 1, 1)``. Defaults to None, equal weights.

    Returns:
        ``(B, H, W)`` int64.
    """
    rows = STRIP_ROWS if logits.device.type == 'cpu' and log_weight is not None else logits.shape[2]
    classes = []
    for strip in logits.split(rows, dim=2):
        scores = strip if log_weight is None else strip + log_weight
        classes.append(scores.max(dim=1).indices)  # argmax, and faster than argmax on a CPU
    return classes[0] if len(classes) == 1 else cat(classes, dim=1)
