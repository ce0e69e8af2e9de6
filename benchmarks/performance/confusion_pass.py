"""mmseg's histograms of an image against the one pass of the confusion matrix."""

from __future__ import annotations

from typing import Any

import torch
from mmseg.evaluation import IoUMetric

from benchmarks.performance.ratio import compare
from benchmarks.performance.sizes import Sizes
from mmseg_ccdistill.evaluation.confusion import confusion_matrix


def confusion_row(sizes: Sizes) -> dict[str, Any]:
    """Counts of one prediction of 19 classes, a tenth of its pixels ignored.

    Raises:
        RuntimeError: If the two do not count alike.
    """
    generator = torch.Generator().manual_seed(0)
    label, prediction = (torch.randint(0, 19, sizes.screen, generator=generator) for _ in range(2))
    label[torch.rand(sizes.screen, generator=generator) < 0.1] = 255
    label = label.to(torch.uint8)

    def histograms() -> Any:
        return IoUMetric.intersect_and_union(prediction, label, 19, 255)

    def one_pass() -> Any:
        return confusion_matrix(prediction, label, 19)

    matrix = one_pass()
    if not torch.equal(histograms()[0].long(), matrix.diagonal()):
        raise RuntimeError('the two count other intersections')
    both = {'histograms': histograms, 'one pass': one_pass}
    return compare(both, sizes, base='one pass')
