"""Sizes of a run: the true ones, and tiny ones for a rehearsal."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Sizes:
    """What every row is told.

    Attributes:
        tiny: Whether it is a rehearsal.
        rounds: Timed rounds of a comparison.
        crop: Side of the crops of the small network, in pixels.
        channels: Channels of F_D.
        grid: Side of F_D.
        logits: Side of the logits of the pixel losses.
        source: Height and width of a labelled frame.
        target: Height and width of a frame of a pair.
        files: Frames of each kind on the disk.
        image: Height and width of the image that the networks of the inference rows read.
        screen: Height and width of the label maps that are made of logits.
        parameters: Parameters of the optimizer row.
        iterations: Iterations of the memory row.
    """

    tiny: bool = False
    rounds: int = 9
    crop: int = 256
    channels: int = 2048
    grid: int = 16
    logits: int = 512
    source: tuple[int, int] = (1024, 2048)
    target: tuple[int, int] = (1080, 1920)
    files: int = 4
    image: tuple[int, int] = (256, 512)
    screen: tuple[int, int] = (1080, 1920)
    parameters: int = 29_500_000
    iterations: int = 200


TINY = Sizes(
    tiny=True,
    rounds=2,
    crop=64,
    channels=32,
    grid=4,
    logits=32,
    source=(96, 128),
    target=(96, 128),
    files=2,
    image=(64, 96),
    screen=(128, 192),
    parameters=10_000,
    iterations=6,
)
