"""From pixels to labels in parts: mmseg's test step, each exported network, and what the arithmetic alone takes."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch
from mmseg.models.utils import resize
from torch import Tensor

from benchmarks.performance.exported_network import (
    fastest_convolution,
    flops_of,
    night_network,
    random_image,
)
from benchmarks.performance.sizes import Sizes
from benchmarks.timing import one_thread, time_interleaved
from mmseg_ccdistill.errors import UserInputError
from mmseg_ccdistill.export.branch_export import predict_image
from mmseg_ccdistill.export.deployed_network import DeployedNetwork
from mmseg_ccdistill.export.deployment_formats import FORMATS, check_installed
from mmseg_ccdistill.models.composed_resize import label_map


def profile_exports(sizes: Sizes) -> dict[str, dict[str, Any]]:
    """Processor time of the parts, for mmseg's test step and for each format that is installed.

    The first table is one of limits: what the network's FLOP take at the rate of the fastest convolution.
    """
    model, image = night_network(sizes), random_image(sizes)
    size = (2 * sizes.image[0], 2 * sizes.image[1])
    network, pixels = DeployedNetwork(model), image[None].float()
    with one_thread(), torch.no_grad():
        logits = network(pixels)
        flops = flops_of(network, pixels)
        rate = fastest_convolution(sizes)
        tables = {
            "FLOP of the network at the fastest convolution's rate": _table(
                {'convolutions': 1e3 * flops / rate}
            ),
            "mmseg's test step": _table(_mmseg_parts(model, image, logits, size, sizes)),
        }
        for name in FORMATS:
            try:
                check_installed([name])
            except UserInputError:
                continue
            tables[name] = _table(_exported_parts(name, model, image, size, sizes))
    return tables


def _table(parts: dict[str, float]) -> dict[str, Any]:
    return dict(unit='ms', parts={name: max(0.0, value) for name, value in parts.items()})


def _mmseg_parts(
    model: Any, image: Tensor, logits: Tensor, size: tuple[int, int], sizes: Sizes
) -> dict[str, float]:
    normalised = model.data_preprocessor(dict(inputs=[image]), False)['inputs']

    def two_resizes() -> Tensor:
        out = logits
        for each in (sizes.image, size):
            out = resize(
                out, each, mode='bilinear', align_corners=model.align_corners, warning=False
            )
        return out.argmax(dim=1)

    maps = model.extract_feat(normalised)
    calls: dict[str, Callable[[], Any]] = {
        'all': partial(predict_image, model, image, size),
        'backbone': partial(model.extract_feat, normalised),
        'decoder': partial(model.decode_head, maps),
        'two resizes and argmax': two_resizes,
    }
    times = time_interleaved(calls, sizes.rounds, warmup=1)
    ms = {name: 1e3 * times.median(name) for name in calls}
    whole = ms.pop('all')
    return {**ms, 'normalisation and the rest': whole - sum(ms.values())}


def _exported_parts(
    name: str, model: Any, image: Tensor, size: tuple[int, int], sizes: Sizes
) -> dict[str, float]:
    pixels = image[None].float()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f'night{FORMATS[name].suffixes[0]}'
        FORMATS[name].write(DeployedNetwork(night_network(sizes)), pixels, path, False)
        predict = FORMATS[name].load(path, 1)
        logits = predict(pixels)
        calls: dict[str, Callable[[], Any]] = {
            'pixels to float': lambda: image[None].float(),
            'network, normalisation in it': partial(predict, pixels),
            'composed resize and largest class': partial(
                label_map, logits[0], sizes.image, size, model.align_corners
            ),
        }
        times = time_interleaved(calls, sizes.rounds, warmup=1)
    return {part: 1e3 * times.median(part) for part in calls}
