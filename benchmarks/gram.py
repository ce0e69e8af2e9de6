"""Gram cosine from C x C matrices against N x N matrices, forward and backward.

``python -m benchmarks.gram`` at the paper's size: 2048 channels, 16 x 16 positions, two samples. A
test of the losses shows that both give the same number and the same gradient.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable

import torch

from benchmarks.timing import print_ratios, time_interleaved
from mmseg_ccdistill.models.losses import gram_cosine

#: Samples, channels and side of the grid of F_D: batch 2, the last map of ResNet-101 at a 512 crop.
BATCH, CHANNELS, SIDE = 2, 2048, 16


def forward_backward(form: str) -> Callable[[], None]:
    """One Gram cosine of random features after a ReLU, with the gradient of both.

    Args:
        form: ``'channel'`` (C x C) or ``'position'`` (N x N).
    """
    generator = torch.Generator().manual_seed(0)
    shape = (2, BATCH, CHANNELS, SIDE, SIDE)
    day, night = torch.randn(shape, generator=generator).relu()
    day.requires_grad_()
    night.requires_grad_()

    def run() -> None:
        day.grad = night.grad = None
        gram_cosine(day, night, form).sum().backward()

    return run


def main() -> None:
    """Time both forms and print their ratio."""
    parser = argparse.ArgumentParser(description=__doc__.split('\n', 1)[0] if __doc__ else '')
    parser.add_argument('--rounds', type=int, default=9, help='timed rounds (default: 9)')
    rounds = parser.parse_args().rounds
    channel, position = f'C x C, C = {CHANNELS}', f'N x N, N = {SIDE * SIDE}'
    times = time_interleaved(
        {channel: forward_backward('channel'), position: forward_backward('position')}, rounds
    )
    print_ratios(times, [(channel, position)], 'Gram cosine, forward and backward, one thread')


if __name__ == '__main__':
    main()
