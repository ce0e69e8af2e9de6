"""Images of the target that a crop does not fill: the rest is padded, and nothing tells a network that it is no image.

The ground truth of a labelled image is padded with the label that counts as unknown. A target is learned from without
one: its pseudo labels and the terms between domains read every pixel.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import mmcv
from mmcv.transforms import LoadAnnotations, LoadImageFromFile, RandomFlip, RandomResize
from mmseg.datasets.transforms import PhotoMetricDistortion, RandomCrop

from .file_faults import Sample, loaded_size
from .image_facts import ImageFacts
from .transforms.cached_image import LoadCachedImage
from .transforms.resized_crop import RESIZES, ResizedCrop

#: Transforms that leave the size as it is.
_KEEPING = (
    LoadImageFromFile,
    LoadCachedImage,
    LoadAnnotations,
    RandomFlip,
    PhotoMetricDistortion,
)


def crop_faults(
    samples: Iterable[Sample], facts: Mapping[str, ImageFacts], dataset: Any
) -> Iterator[str | None]:
    """Say of each sample of a target that its image may be smaller than the crop, or None.

    Args:
        samples: Of the target; both images of a pair have one size.
        facts: Of their images.
        dataset: The target. One whose pipeline does more than loading, resizing to a scale, flipping, changing
            colours and one ``RandomCrop`` behind the resize is left alone.
    """
    steps = getattr(getattr(dataset, 'pipeline', None), 'transforms', ())
    known: dict[tuple[int, int], tuple[tuple[int, int], tuple[int, int]] | None] = {}
    for sample in samples:
        size = loaded_size(sample.image, facts, dataset)
        if size not in known:
            known[size] = unfilled_crop(steps, size)
        found = known[size]
        if found is None:
            yield None
            continue
        resized, crop = ('{}x{}'.format(*pair) for pair in found)
        yield (
            f'The target image {sample.image!r} has {size[0]}x{size[1]} pixels, {resized} after the resize of the '
            f'pipeline at its smallest ratio: expected at least the crop of {crop}, because the rest would be padded '
            'with black and learned as image; set a larger scale in the pipeline or a smaller crop, or leave the '
            'image out.'
        )


def unfilled_crop(
    transforms: Sequence[Any], size: tuple[int, int]
) -> tuple[tuple[int, int], tuple[int, int]] | None:
    """Find out whether a pipeline may give a network less than its crop of an image.

    Args:
        transforms: Of the pipeline.
        size: Width and height of the image as it is loaded.

    Returns:
        Width and height at the smallest ratio, and of the crop; None if the crop is filled, or the pipeline does
        something else.
    """
    crop: RandomCrop | None = None
    for step in _apart(transforms):
        if isinstance(step, _KEEPING):
            continue
        if crop is not None:
            return None
        if type(step) is RandomCrop:
            crop = step
            continue
        scale, resize = _smallest_scale(step)
        if scale is None:
            return None
        size = mmcv.rescale_size(size, scale) if resize.keep_ratio else scale
    if crop is None:
        return None
    height, width = crop.crop_size
    return None if size[0] >= width and size[1] >= height else (size, (width, height))


def _apart(transforms: Iterable[Any]) -> Iterator[Any]:
    """The transforms, those that were joined one by one."""
    for step in transforms:
        if isinstance(step, ResizedCrop):
            yield from (step.resize, step.crop)
        else:
            yield step


def _smallest_scale(step: Any) -> tuple[tuple[int, int] | None, Any]:
    """The smallest scale of a resize, and what resizes to it; None for other steps."""
    if type(step) in RESIZES:
        return step.scale, step
    if type(step) is not RandomResize or type(step.resize) not in RESIZES:
        return None, step
    if step.ratio_range is not None and not isinstance(step.scale[0], Sequence):
        ratio = min(step.ratio_range)
        return (int(step.scale[0] * ratio), int(step.scale[1] * ratio)), step.resize
    if isinstance(step.scale[0], Sequence):  # a range of scales
        sides = zip(*step.scale, strict=True)
        return (min(next(sides)), min(next(sides))), step.resize
    return None, step
