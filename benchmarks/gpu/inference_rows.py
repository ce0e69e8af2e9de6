"""Latency of the night model: from the pixels to labels at 1080p, and of the network alone."""

from __future__ import annotations

import inspect
import statistics
import tempfile
import time
from collections.abc import Callable
from contextlib import nullcontext
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from benchmarks.gpu.settings import Settings
from benchmarks.gpu.step_rows import MODES
from benchmarks.gpu.training import Mode, build_model, load_config, precision
from benchmarks.row_running import NotHere
from mmseg_ccdistill.export.branch_export import predict_image

#: M_n is what this config builds: an ordinary segmentor.
SEGMENTOR = 'refinenet/refinenet_r101_cityscapes.py'


def latency(call: Callable[[], Any], settings: Settings) -> float:
    """Median milliseconds of a call, the device waited for after each."""
    for _ in range(3):
        call()
    settings.synchronize()
    durations = []
    for _ in range(settings.repeats):
        start = time.perf_counter()
        call()
        settings.synchronize()
        durations.append(time.perf_counter() - start)
    return 1e3 * statistics.median(durations)


def _autocast(settings: Settings, mode: Mode) -> Any:
    return torch.autocast(settings.device.type, torch.bfloat16) if mode.bf16 else nullcontext()


@torch.no_grad()
def inference(settings: Settings) -> dict[str, Any]:
    """Latency in every precision, labels compared with float32.

    Args:
        settings: ``images`` are the sizes at which the network works; labels have the last one's size.

    Returns:
        By mode and size: ``ms`` from uint8 pixels in host memory to labels on the device, ``network_ms`` from
        normalised pixels to logits, and ``agreement`` of the labels with those of float32.
    """
    model = build_model(load_config(SEGMENTOR, settings), settings).eval()
    found: dict[str, Any] = {}
    generator = torch.Generator().manual_seed(0)
    images = [
        torch.randint(0, 256, (3, *size), generator=generator, dtype=torch.uint8)
        for size in settings.images
    ]
    reference: dict[int, Tensor] = {}
    for name in ('fp32', 'tf32', 'bf16', 'bf16 channels_last'):
        mode = MODES[name]
        if mode.channels_last:
            model.to(memory_format=torch.channels_last)
        for number, image in enumerate(images):
            inputs = _normalised(image, settings)
            with precision(mode), _autocast(settings, mode):
                call = partial(predict_image, model, image, settings.images[-1])
                labels = call().pred_sem_seg.data
                reference.setdefault(number, labels)
                found[f'{name}, {image.shape[2]} x {image.shape[1]}'] = dict(
                    ms=latency(call, settings),
                    network_ms=latency(partial(model, inputs), settings),
                    agreement=float((labels == reference[number]).float().mean()),
                )
    return found


def _normalised(image: Tensor, settings: Settings) -> Tensor:
    """Float pixels ``(1, 3, h, w)`` on the device, of zero mean and unit spread."""
    return ((image.float() - 128) / 74)[None].to(settings.device)


@torch.no_grad()
def inference_graph(settings: Settings) -> dict[str, Any]:
    """The network in bfloat16, channels last, as one CUDA graph.

    Args:
        settings: ``images`` are the sizes.

    Returns:
        ``network_ms`` by size.

    Raises:
        NotHere: Without a GPU.
    """
    if not settings.cuda:
        raise NotHere('CUDA graphs need a CUDA device')
    mode = MODES['bf16 channels_last']
    model = build_model(load_config(SEGMENTOR, settings), settings).eval()
    model.to(memory_format=torch.channels_last)
    found = {}
    for height, width in settings.images:
        inputs = torch.randn(1, 3, height, width, device=settings.device)
        with precision(mode), _autocast(settings, mode):
            stream = torch.cuda.Stream()
            stream.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(stream):
                for _ in range(3):
                    model(inputs)
            torch.cuda.current_stream().wait_stream(stream)
        graph = torch.cuda.CUDAGraph()
        with precision(mode), torch.cuda.graph(graph), _autocast(settings, mode):
            model(inputs)
        found[f'{width} x {height}'] = dict(network_ms=latency(graph.replay, settings))
    return found


@torch.no_grad()
def onnx_export(settings: Settings) -> dict[str, Any]:
    """The network as ONNX, run by ONNX Runtime.

    Args:
        settings: The first of ``images`` is the size.

    Returns:
        ``provider``, ``network_ms`` and ``agreement`` of the labels with torch's in float32.

    Raises:
        NotHere: If a package is missing.
    """
    try:
        import_module('onnx')
        onnxruntime = import_module('onnxruntime')
    except ImportError as error:
        raise NotHere(f'not installed: {error.name}') from error
    model = build_model(load_config(SEGMENTOR, settings), settings).eval().cpu()
    inputs = torch.randn(1, 3, *settings.images[0], generator=torch.Generator().manual_seed(0))
    wanted = model(inputs).argmax(1)
    known = inspect.signature(torch.onnx.export).parameters
    options: dict[str, Any] = {'dynamo': False} if 'dynamo' in known else {}
    with tempfile.TemporaryDirectory() as folder:
        path = str(Path(folder) / 'night.onnx')
        torch.onnx.export(model, (inputs,), path, opset_version=17, input_names=['x'], **options)
        providers = [
            name
            for name in ('CUDAExecutionProvider', 'CPUExecutionProvider')
            if name in onnxruntime.get_available_providers()
        ]
        session = onnxruntime.InferenceSession(path, providers=providers)
        feed = {'x': inputs.numpy()}
        (logits,) = session.run(None, feed)
        durations = []
        for _ in range(3):
            start = time.perf_counter()
            session.run(None, feed)
            durations.append(time.perf_counter() - start)
    agreement = float((torch.from_numpy(logits).argmax(1) == wanted).float().mean())
    return dict(
        provider=session.get_providers()[0],
        network_ms=1e3 * statistics.median(durations),
        agreement=agreement,
    )
