"""Batches of the true size without files: streets of coloured blocks, their labels, and a dark copy."""

from __future__ import annotations

from typing import Any

import torch
from mmengine.dataset import pseudo_collate
from mmengine.structures import PixelData
from mmseg.structures import SegDataSample
from torch import Tensor
from torch.utils.data import DataLoader

from mmseg_ccdistill.domains import DOMAINS

#: Cells along a side; each has one class.
_CELLS = 16
#: Night is the day at this share of its light.
_NIGHT = 0.3


def make_image(
    generator: torch.Generator, size: tuple[int, int], dark: bool
) -> tuple[Tensor, Tensor]:
    """An image that tells its labels.

    Args:
        generator: Source of the random numbers.
        size: Height and width in pixels.
        dark: Whether it is night.

    Returns:
        Image ``(3, H, W)`` uint8 and labels ``(1, H, W)`` int64: 19 classes, 255 ignored.
    """
    cells = torch.randint(0, 20, (_CELLS, _CELLS), generator=generator)
    cells[cells == 19] = 255
    height, width = size
    down, across = -(-height // _CELLS), -(-width // _CELLS)
    labels = cells.repeat_interleave(down, 0).repeat_interleave(across, 1)[:height, :width]
    colours = torch.stack([labels * factor % 251 for factor in (37, 91, 153)]).float()
    image = colours + 12 * torch.randn(3, height, width, generator=generator)
    image = image * (_NIGHT if dark else 1)
    return image.clamp(0, 255).to(torch.uint8), labels[None].contiguous()


def pack(image: Tensor, labels: Tensor | None) -> dict[str, Any]:
    """A sample of an image ``(3, H, W)`` and, if there are any, its labels ``(1, H, W)``."""
    sample = SegDataSample(metainfo=dict(img_path='none.png', img_shape=tuple(image.shape[1:])))
    if labels is not None:
        sample.gt_sem_seg = PixelData(data=labels)
    return dict(inputs=image, data_samples=sample)


def make_batches(side: int, count: int, size: int = 2, pin: bool = False) -> list[dict[str, Any]]:
    """Batches of the four domains, as the training loader of the paper's config gives them, always the same ones.

    Args:
        side: Side of a crop in pixels.
        count: Number of batches.
        size: Samples per domain. Defaults to 2.
        pin: Whether the loader pins its memory, as the configs tell it to. Defaults to False.

    Returns:
        ``inputs`` and ``data_samples``, each by domain.
    """
    generator = torch.Generator().manual_seed(0)
    samples: Any = []  # a list serves as a data set
    for _ in range(count * size):
        parts = {}
        day = make_image(generator, (side, side), dark=False)
        for domain in DOMAINS:
            image, labels = (
                day if domain == 'source_day' else make_image(generator, (side, side), False)
            )
            if domain == 'source_night':
                image, labels = (day[0] * _NIGHT).to(torch.uint8), day[1]
            elif domain == 'target_night':
                image = (image * _NIGHT).to(torch.uint8)
            parts[domain] = pack(image, labels if domain.startswith('source') else None)
        samples.append(
            {key: {d: parts[d][key] for d in DOMAINS} for key in ('inputs', 'data_samples')}
        )
    return list(DataLoader(samples, size, collate_fn=pseudo_collate, pin_memory=pin))
