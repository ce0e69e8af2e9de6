"""Types shared by the data side and the segmentors."""

from __future__ import annotations

from mmseg.structures import SegDataSample
from torch import Tensor

#: The four domains in their fixed order: S_d, S_n, T_d, T_n of the paper.
DOMAINS = ('source_day', 'source_night', 'target_day', 'target_night')

#: One tensor per domain, e.g. images ``(B, 3, H, W)`` or features ``(B, C, h, w)``.
DomainTensors = dict[str, Tensor]

#: One list of data samples per domain.
DomainSamples = dict[str, list[SegDataSample]]
