"""mmseg's two resizes and argmax against the composed one, from the logits of a decode head to a label map."""

from __future__ import annotations

from typing import Any

import torch
from mmseg.models.utils import resize
from torch import Tensor
from torch.nn import functional as F

from benchmarks.performance.ratio import compare
from benchmarks.performance.sizes import Sizes
from mmseg_ccdistill.models.composed_resize import label_map


def resize_row(sizes: Sizes) -> dict[str, Any]:
    """19 classes at an eighth of the label map, by way of a half of it; and how many labels agree."""
    size = sizes.screen
    between, cells = ((size[0] // n, size[1] // n) for n in (2, 8))
    generator = torch.Generator().manual_seed(0)
    coarse = torch.randn(1, 19, cells[0] // 8, cells[1] // 8, generator=generator)
    logits = F.interpolate(coarse, cells, mode='bicubic')

    def two_steps() -> Tensor:
        out = resize(logits, between, mode='bilinear', align_corners=True, warning=False)
        out = resize(out, size, mode='bilinear', align_corners=True, warning=False)
        return out[0].argmax(dim=0)

    def composed() -> Tensor:
        return label_map(logits[0], between, size, align_corners=True)

    agreement = (two_steps() == composed()).double().mean().item()
    found = compare({'two steps': two_steps, 'composed': composed}, sizes, base='composed')
    return {**found, 'agreement': dict(value=agreement)}
