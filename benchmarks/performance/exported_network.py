"""The exported night network, from pixels to labels, against mmseg's test step; and against the fastest convolution."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.gpu.training import build_model
from benchmarks.performance.ratio import compare
from benchmarks.performance.sizes import Sizes
from benchmarks.performance.small_run import settings_of
from benchmarks.repository import ROOT
from benchmarks.row_running import NotHere
from benchmarks.timing import one_thread, time_interleaved
from mmseg_ccdistill.errors import UserInputError
from mmseg_ccdistill.export.branch_export import predict_image
from mmseg_ccdistill.export.deployed_network import DeployedNetwork
from mmseg_ccdistill.export.deployment_formats import FORMATS, check_installed
from mmseg_ccdistill.models.composed_resize import label_map

PAPER = ROOT / 'configs/refinenet/refinenet_r101_cityscapes.py'
#: Channels and grid of the convolutions among which the fastest is sought: those of the decoder.
_CONVOLUTIONS = ((256, (64, 128)), (256, (32, 64)), (512, (16, 32)))
_TORCH = 'torchscript'


def night_network(sizes: Sizes) -> Any:
    """RefineNet with the paper's decoder on ResNet-18, random weights, in evaluation mode."""
    init_default_scope('mmseg')
    config = Config.fromfile(str(PAPER))
    config.model.backbone.depth = 18
    config.model.backbone.pop('init_cfg', None)
    config.model.decode_head.in_channels = [64, 128, 256, 512]
    if sizes.tiny:
        config.model.decode_head.update(channels=8, num_crp_stages=1)
    return build_model(config, settings_of(sizes)).eval()


def exported_row(sizes: Sizes, name: str) -> dict[str, Any]:
    """Pixels to labels at twice the size of the image: exported network and composed resize over mmseg's test step.

    Args:
        sizes: Of the run.
        name: Format.

    Returns:
        The ratio, the share of equal ``agreement``, and the ``network`` alone over the time that its FLOP take at the
        rate of the fastest single convolution of the run.

    Raises:
        NotHere: If the format's packages are missing.
    """
    try:
        check_installed([name])
    except UserInputError as error:
        raise NotHere(str(error)) from error
    model = night_network(sizes)
    size = (2 * sizes.image[0], 2 * sizes.image[1])
    image = random_image(sizes)
    pixels = image[None].float()
    with tempfile.TemporaryDirectory() as folder, one_thread():
        path = Path(folder) / f'night{FORMATS[name].suffixes[0]}'
        flops = flops_of(DeployedNetwork(model), pixels)
        FORMATS[name].write(DeployedNetwork(night_network(sizes)), pixels, path, False)
        predict = FORMATS[name].load(path, 1)

        def exported() -> Tensor:
            logits = predict(image[None].float())
            return label_map(logits[0], sizes.image, size, model.align_corners)

        def plain() -> Tensor:
            return predict_image(model, image, size).pred_sem_seg.data[0]

        agreement = (exported() == plain()).double().mean().item()
        found = compare({'exported': exported, 'mmseg': plain}, sizes, base='mmseg')
        found['network'] = _over_convolution(partial(predict, pixels), flops, sizes)
    return {**found, 'agreement': dict(value=agreement)}


def random_image(sizes: Sizes) -> Tensor:
    """``(3, H, W)`` uint8."""
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (3, *sizes.image), generator=generator, dtype=torch.uint8)


def flops_of(network: torch.nn.Module, pixels: Tensor) -> int:
    """FLOP of a network's convolutions and matrix products."""
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        network(pixels)
    return counter.get_total_flops()


def fastest_convolution(sizes: Sizes) -> float:
    """FLOP a second of the fastest convolution, channels last, on one thread."""
    convolutions = _convolutions(sizes)
    with torch.inference_mode():
        calls = {str(index): run for index, (run, _) in enumerate(convolutions)}
        times = time_interleaved(calls, sizes.rounds)
    return max(work / times.median(str(index)) for index, (_, work) in enumerate(convolutions))


def _convolutions(sizes: Sizes) -> list[tuple[Callable[[], Tensor], int]]:
    """Convolutions of the decoder's shapes, and the FLOP of each."""
    found = []
    for channels, grid in ((8, (8, 16)),) if sizes.tiny else _CONVOLUTIONS:
        layer: Any = torch.nn.Conv2d(channels, channels, 3, padding=1)
        layer = layer.to(memory_format=torch.channels_last)
        maps = torch.randn(1, channels, *grid).contiguous(memory_format=torch.channels_last)
        run: Callable[[], Tensor] = partial(layer, maps)
        found.append((run, 2 * 9 * channels**2 * grid[0] * grid[1]))
    return found


def _over_convolution(network: Callable[[], Tensor], flops: int, sizes: Sizes) -> dict[str, float]:
    """Time of the network over its FLOP at the rate of the fastest convolution."""
    best: dict[str, float] = {}
    for convolution, work in _convolutions(sizes):
        with torch.inference_mode():
            both = {'network': network, 'convolution': convolution}
            ratio = compare(both, sizes, base='convolution', scale=work / flops)['network']
        if not best or ratio['value'] > best['value']:  # a faster convolution makes it larger
            best = ratio
    return best
