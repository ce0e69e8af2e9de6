"""S_n := S_d: the ablation "w/o LAB-based Trans" of the paper's Table 3."""

from __future__ import annotations

from mmcv.transforms import BaseTransform
from mmseg.registry import TRANSFORMS

from .lab_transfer import copy_results


@TRANSFORMS.register_module()
class CopySourceDay(BaseTransform):
    """Use the source day image as source night image, in the place of ``LABTransfer``.

    Required Keys:

    - source_day

    Added Keys:

    - source_night
    """

    reads = ('source_day',)
    adds = ('source_night',)

    def transform(self, results: dict) -> dict:
        """Add ``source_night``."""
        source = results['source_day']
        results['source_night'] = copy_results(source, source['img'].copy())
        return results

    def __repr__(self) -> str:
        """Name the transform."""
        return f'{type(self).__name__}()'
