"""What the terms of CCDistill cost beside the work that no implementation can leave out.

``python -m benchmarks.terms`` prints, on one thread:

- head, CDC and CDS of all four domains against the projection head alone, forward and backward;
- pseudo labels and static loss against weighted cross-entropy on logits of one size, forward and
  backward;
- LAB transfer of one crop against its three colour conversions.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable

import cv2
import numpy as np
import torch

from benchmarks.timing import print_ratios, time_interleaved
from mmseg_ccdistill.datasets.transforms import lab_transfer
from mmseg_ccdistill.domains import DOMAINS
from mmseg_ccdistill.models.losses import CDCLoss, CDSLoss, StaticLoss, WeightedCrossEntropyLoss
from mmseg_ccdistill.models.necks import ProjectionHead

Callables = dict[str, Callable[[], None]]

#: F_D of one domain (batch 2, last map of ResNet-101 at a 512 crop), and logits at the crop's size.
FEATURE_SHAPE, LOGITS_SHAPE = (2, 2048, 16, 16), (2, 19, 512, 512)

HEAD, TERMS = 'projection head', 'head, CDC and CDS'
CROSS_ENTROPY, STATIC = 'cross-entropy', 'pseudo labels and static loss'
CONVERSIONS, LAB = 'three colour conversions', 'LAB transfer'


def distillation() -> Callables:
    """The head on F_D of the four domains, with and without the terms behind it."""
    generator = torch.Generator().manual_seed(0)
    head = ProjectionHead(embedding_norm='standardize')
    features = {
        domain: torch.randn(FEATURE_SHAPE, generator=generator).relu().requires_grad_()
        for domain in DOMAINS
    }
    slopes = torch.randn(2, 256, 16, 16, generator=generator)
    cdc, cds = CDCLoss(), CDSLoss()

    def reset() -> None:
        head.zero_grad()
        for feature in features.values():
            feature.grad = None

    def head_alone() -> None:
        reset()
        embeddings = [head(feature) for feature in features.values()]
        torch.autograd.backward(embeddings, [slopes] * len(embeddings))

    def all_terms() -> None:
        reset()
        terms = cdc({domain: head(feature) for domain, feature in features.items()})
        terms.update(cds(features))
        torch.stack(list(terms.values())).sum().backward()

    return {HEAD: head_alone, TERMS: all_terms}


def pixel_losses(layout: torch.memory_format) -> Callables:
    """Weighted cross-entropy and L_pseudo on upsampled logits of one size and layout."""
    generator = torch.Generator().manual_seed(0)
    day, night = (
        torch.randn(LOGITS_SHAPE, generator=generator).to(memory_format=layout) for _ in range(2)
    )
    night.requires_grad_()
    labels = torch.randint(0, 19, (2, 512, 512), generator=generator)
    weighted, static = WeightedCrossEntropyLoss('balanced'), StaticLoss()

    def cross_entropy() -> None:
        night.grad = None
        weighted(night, labels).backward()

    def static_loss() -> None:
        night.grad = None
        static(night, static.pseudo_labels(day)).backward()

    suffix = ', channels last' if layout is torch.channels_last else ''
    return {CROSS_ENTROPY + suffix: cross_entropy, STATIC + suffix: static_loss}


def colour() -> Callables:
    """LAB transfer of a 512 crop, and the two conversions to LAB and the one back that it contains."""
    noise = np.random.RandomState(0).randint(0, 256, (2, 32, 32, 3)).astype(np.uint8)
    day, night = (cv2.resize(image, (512, 512), interpolation=cv2.INTER_CUBIC) for image in noise)
    night = (0.3 * night).astype(np.uint8)
    scaled = day.astype(np.float32) / 255
    lab = cv2.cvtColor(scaled, cv2.COLOR_BGR2LAB)

    def conversions() -> None:
        cv2.cvtColor(scaled, cv2.COLOR_BGR2LAB)
        cv2.cvtColor(scaled, cv2.COLOR_BGR2LAB)
        cv2.cvtColor(lab, cv2.COLOR_LAB2BGR)

    def transfer() -> None:
        lab_transfer(day, night)

    return {CONVERSIONS: conversions, LAB: transfer}


def main() -> None:
    """Time all three comparisons and print their ratios."""
    parser = argparse.ArgumentParser(description=__doc__.split('\n', 1)[0] if __doc__ else '')
    parser.add_argument('--rounds', type=int, default=9, help='timed rounds (default: 9)')
    rounds = parser.parse_args().rounds
    for title, callables in (
        ('Distillation, forward and backward', distillation()),
        ('Losses at 512 x 512, forward and backward', pixel_losses(torch.contiguous_format)),
        ('Losses at 512 x 512, channels last', pixel_losses(torch.channels_last)),
        ('Colour of one 512 x 512 crop', colour()),
    ):
        base, ours = callables
        times = time_interleaved(callables, rounds)
        print_ratios(times, [(ours, base)], f'{title}, one thread')


if __name__ == '__main__':
    main()
