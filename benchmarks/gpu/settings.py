"""Sizes of a run: the paper's on a GPU, tiny ones for a rehearsal on a CPU."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from mmseg_ccdistill.errors import UserInputError


@dataclass(frozen=True)
class Settings:
    """What every row is told.

    Attributes:
        device: Where the models lie.
        tiny: Whether models and images are shrunk.
        side: Side of a crop in pixels.
        warmup: Steps before the clock starts; cuDNN chooses its kernels in them.
        blocks: Timed blocks, whose median counts.
        block: Steps in a block.
        profiled: Steps under the profiler.
        compared: Steps whose losses are compared between precisions.
        method_steps: Steps of each method, the first quarter of them not timed.
        images: Height and width of the images of the latency rows.
        repeats: Timed predictions.
    """

    device: torch.device
    tiny: bool = False
    side: int = 512
    warmup: int = 8
    blocks: int = 5
    block: int = 8
    profiled: int = 2
    compared: int = 200
    method_steps: int = 20
    images: tuple[tuple[int, int], ...] = ((540, 960), (1080, 1920))
    repeats: int = 20

    @property
    def cuda(self) -> bool:
        """Whether the device is a GPU."""
        return self.device.type == 'cuda'

    def synchronize(self) -> None:
        """Wait for the device."""
        if self.cuda:
            torch.cuda.synchronize(self.device)


def make_settings(tiny: bool) -> Settings:
    """Settings of a run.

    Args:
        tiny: Whether it is the rehearsal on a CPU.

    Returns:
        Settings.

    Raises:
        UserInputError: If there is no GPU and it is no rehearsal.
    """
    if tiny:
        return Settings(
            torch.device('cpu'),
            tiny=True,
            side=64,
            warmup=1,
            blocks=2,
            block=1,
            profiled=1,
            compared=2,
            method_steps=1,
            images=((54, 96),),
            repeats=2,
        )
    if not torch.cuda.is_available():
        raise UserInputError(
            'this machine has no CUDA device: run it on one that has, or rehearse with --tiny'
        )
    return Settings(torch.device('cuda', torch.cuda.current_device()))
