"""Random batches as CrossDomainDataset makes them."""

from __future__ import annotations

from typing import Any

import torch
from mmengine.structures import PixelData
from mmseg.structures import SegDataSample

from mmseg_ccdistill.domains import DOMAINS


def domain_batch(side: int = 64, size: int = 2, seed: int = 1) -> dict[str, Any]:
    """Images of all four domains, labels on the source domains only.

    Args:
        side (int): Side in pixels. Defaults to 64.
        size (int): Samples per domain. Defaults to 2.
        seed (int): Seed of images and labels. Defaults to 1.

    Returns:
        dict: ``inputs``: uint8 BGR ``(3, side, side)`` per sample and domain; ``data_samples``.
    """
    generator = torch.Generator().manual_seed(seed)
    labels = [torch.randint(0, 19, (1, side, side), generator=generator) for _ in range(size)]
    inputs: dict[str, Any] = {}
    samples: dict[str, Any] = {}
    for domain in DOMAINS:
        inputs[domain] = [
            torch.randint(0, 256, (3, side, side), generator=generator, dtype=torch.uint8)
            for _ in range(size)
        ]
        samples[domain] = []
        for label in labels:
            sample = SegDataSample()
            if domain.startswith('source'):
                sample.gt_sem_seg = PixelData(data=label.clone())
            samples[domain].append(sample)
    return {'inputs': inputs, 'data_samples': samples}
