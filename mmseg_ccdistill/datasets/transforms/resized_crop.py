"""A random resize and the random crop behind it in one step: what lies behind the crop is not resized.

A pixel of a resized image follows from source pixels at its own place. So the part of it that ends where the crop ends
follows from the part of the source that ends there, too, with the same factors: OpenCV takes both steps in the same
fixed-point arithmetic and every pixel is equal bit for bit. What lies before the crop is still resized, because
OpenCV counts positions from the upper left corner. Of a mapped array, only that part is read.
"""

from __future__ import annotations

import math
from typing import Any

import cv2
import mmcv
import numpy as np
from mmcv.transforms import RandomResize, Resize
from mmseg.datasets import transforms as mmseg_transforms
from mmseg.datasets.transforms import RandomCrop

_INTERPOLATIONS = {'bilinear': cv2.INTER_LINEAR, 'nearest': cv2.INTER_NEAREST}
#: mmseg's own, where it has one, differs from mmcv's in maps other than ``gt_seg_map``.
RESIZES = (Resize, getattr(mmseg_transforms, 'Resize', Resize))
#: Keys that mmcv's Resize changes and :class:`ResizedCrop` does not.
_OTHER_KEYS = ('gt_bboxes', 'gt_keypoints')


def resize_up_to(
    image: np.ndarray, size: tuple[int, int], end: tuple[int, int], interpolation: int
) -> np.ndarray:
    """The upper left part of a resized image.

    Args:
        image: uint8 ``(H, W)`` or ``(H, W, C)``; only what the part follows from is read.
        size: Height and width of the whole resized image.
        end: Height and width of the part; more than ``size`` is the whole side.
        interpolation: ``cv2.INTER_LINEAR`` or ``cv2.INTER_NEAREST``.

    Returns:
        uint8 ``(*end)`` or ``(*end, C)``, equal to that part of what ``cv2.resize`` makes of the whole.
    """
    ratios = [new / old for new, old in zip(size, image.shape, strict=False)]
    # the last pixel lies at (end - 0.5) / ratio - 0.5 and is a mean with the next one; two more for rounding
    rows, columns = (
        min(math.ceil((stop + 0.5) / ratio) + 2, old)
        for stop, ratio, old in zip(end, ratios, image.shape, strict=False)
    )
    part = image[:rows, :columns]
    found = (round(rows * ratios[0]), round(columns * ratios[1]))
    if (
        part.shape == image.shape or found == part.shape[:2]
    ):  # a part that keeps its size would be copied
        resized = cv2.resize(image, size[::-1], interpolation=interpolation)
    else:
        resized = cv2.resize(part, None, fx=ratios[1], fy=ratios[0], interpolation=interpolation)
    return resized[: end[0], : end[1]]  # at the border of a part, a neighbour is missing


class ResizedCrop:
    """mmcv's ``RandomResize`` and mmseg's ``RandomCrop``: their random numbers, their pixels, their results.

    :func:`join_crops` puts it in their place; a config names the two. Samples with boxes, key points, other maps than
    ``gt_seg_map`` or other values than uint8 go through the two themselves.

    Args:
        resize: The first; ``Resize`` of OpenCV, bilinear or nearest.
        crop: The second.
    """

    def __init__(self, resize: RandomResize, crop: RandomCrop) -> None:
        self.resize = resize
        self.crop = crop

    def __call__(self, results: dict[str, Any]) -> dict[str, Any] | None:
        """Resize and crop.

        Args:
            results: Results of one image.
        """
        image, label = results['img'], results.get('gt_seg_map')
        if not _is_plain(results, image, label):
            resized = self.resize(results)
            return None if resized is None else self.crop(resized)
        results['scale'] = self.resize._random_scale()
        inner = self.resize.resize
        height, width = image.shape[:2]
        new_width, new_height = results['scale']
        if inner.keep_ratio:
            new_width, new_height = mmcv.rescale_size((width, height), results['scale'])
        size = (new_height, new_width)
        seen = dict(img=np.broadcast_to(np.uint8(0), size))  # the choice of a box looks at the size
        if self.crop.cat_max_ratio < 1 and label is not None:
            label = cv2.resize(label, size[::-1], interpolation=cv2.INTER_NEAREST)
            seen['gt_seg_map'] = label  # and at the classes in it
        box = self.crop.crop_bbox(seen)
        end = (box[1], box[3])
        part = resize_up_to(image, size, end, _INTERPOLATIONS[inner.interpolation])
        results['img'] = self.crop.crop(part, box)
        if label is not None:
            if 'gt_seg_map' not in seen:
                label = resize_up_to(label, size, end, cv2.INTER_NEAREST)
            results['gt_seg_map'] = self.crop.crop(label, box)
        results['img_shape'] = results['img'].shape[:2]
        results['scale_factor'] = (new_width / width, new_height / height)
        results['keep_ratio'] = inner.keep_ratio
        return results

    def __repr__(self) -> str:
        """Name both."""
        return f'{type(self).__name__}({self.resize}, {self.crop})'


def join_crops(transforms: list[Any]) -> None:
    """Put :class:`ResizedCrop` in the place of each ``RandomResize`` with a ``RandomCrop`` right behind it.

    Args:
        transforms: Transforms of a pipeline, changed in place. Subclasses of the two and other interpolations stay.
    """
    for place in range(len(transforms) - 1, 0, -1):
        first, second = transforms[place - 1 : place + 1]
        if type(first) is RandomResize and type(second) is RandomCrop and _is_known(first.resize):
            transforms[place - 1 : place + 1] = [ResizedCrop(first, second)]


def _is_known(resize: Any) -> bool:
    return (
        type(resize) in RESIZES
        and resize.backend == 'cv2'
        and resize.interpolation in _INTERPOLATIONS
    )


def _is_plain(results: dict[str, Any], image: Any, label: Any) -> bool:
    """Whether there is an image and at most a label of its size, both uint8, and nothing else to resize or crop."""
    if any(results.get(key) is not None for key in _OTHER_KEYS):
        return False
    if image is None or image.dtype != np.uint8 or image.ndim not in (2, 3):
        return False
    if label is None:
        return not results.get('seg_fields')
    is_alone = list(results.get('seg_fields', ())) == ['gt_seg_map']
    return is_alone and label.dtype == np.uint8 and label.shape == image.shape[:2]
