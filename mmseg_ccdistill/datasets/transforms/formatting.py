"""Packing of the four domains for ``CrossDomainPreprocessor``."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
import torch
from mmcv.transforms import BaseTransform
from mmseg.datasets.transforms import PackSegInputs
from mmseg.registry import TRANSFORMS

from ...cielab import contiguous
from ...domains import DOMAINS
from ...errors import UserInputError
from .draw_mixing import MIX_DRAWS

_META_KEYS = (
    'img_path',
    'seg_map_path',
    'sample_idx',
    'ori_shape',
    'img_shape',
    'pad_shape',
    'scale_factor',
    'flip',
    'flip_direction',
    'reduce_zero_label',
)


def colour_planes(image: np.ndarray) -> np.ndarray:
    """The channels of an image one behind the other.

    Args:
        image: ``(H, W, C)`` or ``(H, W)``, uint8 as a rule; also a cropped or flipped view.

    Returns:
        ``(C, H, W)`` of its type, contiguous, with memory of its own.
    """
    image = np.atleast_3d(image)
    height, width, channels = image.shape
    planes = np.empty((channels, height, width), dtype=image.dtype)
    cv2.split(contiguous(image), list(planes))
    return planes


@TRANSFORMS.register_module()
class PackCrossDomainInputs(BaseTransform):
    """Pack every domain as mmseg's ``PackSegInputs`` does.

    Images stay uint8: normalisation happens on the device. All tensors are contiguous and own their
    memory.

    Required Keys:

    - one or more of source_day, source_night, target_day, target_night (results of the domain, each
      with ``img``)

    Added Keys:

    - inputs (dict of uint8 tensors ``(3, H, W)`` by domain)
    - data_samples (dict of ``SegDataSample`` by domain; labelled domains have ``gt_sem_seg``, int64
      ``(1, H, W)``; the draws of ``DrawMixing`` become fields of the targets)

    Args:
        meta_keys: Keys of the results that become meta information of the samples where present.
    """

    def __init__(self, meta_keys: Sequence[str] = _META_KEYS) -> None:
        self.meta_keys = tuple(meta_keys)
        self._pack = PackSegInputs(meta_keys=self.meta_keys)

    def transform(self, results: dict) -> dict:
        """Pack the domains in their fixed order.

        Raises:
            ValueError: If a domain has no image, or there is no domain at all.
        """
        packed: dict = {'inputs': {}, 'data_samples': {}}
        for domain in DOMAINS:
            if domain not in results:
                continue
            if 'img' not in results[domain]:
                raise UserInputError(
                    f'PackCrossDomainInputs found {sorted(results[domain])} in {domain!r}: '
                    "expected 'img'; leave packing out of the source and target pipelines."
                )
            own = dict(results[domain])
            packed['inputs'][domain] = torch.from_numpy(colour_planes(own.pop('img')))
            sample = self._pack.transform(own)
            for name, value in own.get(MIX_DRAWS, {}).items():
                sample['data_samples'].set_field(torch.from_numpy(value), name)
            packed['data_samples'][domain] = sample['data_samples']
        if not packed['inputs']:
            raise UserInputError(
                f'PackCrossDomainInputs found no domain: expected some of {DOMAINS}, '
                f'got {sorted(results)}.'
            )
        return packed

    def __repr__(self) -> str:
        """Name the transform and its argument."""
        return f'{type(self).__name__}(meta_keys={self.meta_keys})'
