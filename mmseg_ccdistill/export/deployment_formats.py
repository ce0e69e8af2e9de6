"""Formats for deployment: how a network is written in each, through its own exporter, and how it is run again."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ..errors import UserInputError

#: From ``(B, 3, H, W)`` float32 pixels to logits.
Predict = Callable[[Tensor], Tensor]

#: ONNX operator set: the last that torch 2.1 writes.
_OPSET = 17
_INPUT, _OUTPUT = 'pixels', 'logits'


@dataclass(frozen=True)
class Format:
    """A file format.

    Attributes:
        suffixes: Of its files; the first is what a runtime is given.
        packages: What must be installed.
        extra: Extra of this package that brings them; empty: none is needed.
        write: Writes a network: module, example pixels, file, and whether any size is to be taken.
        load: Loads the file for a number of threads; 0: as many as the runtime likes.
    """

    suffixes: tuple[str, ...]
    packages: tuple[str, ...]
    extra: str
    write: Callable[[nn.Module, Tensor, Path, bool], None]
    load: Callable[[Path, int], Predict]


def _traced(network: nn.Module, pixels: Tensor) -> torch.jit.ScriptModule:
    """The network as torch's tracer sees it; sizes stay variable where the code asks for them."""
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter(
            'ignore'
        )  # what is said of Python values concerns sizes, which are compared
        return torch.jit.trace(network, pixels, check_trace=False)


def _write_torchscript(network: nn.Module, pixels: Tensor, path: Path, dynamic: bool) -> None:
    """Write TorchScript; the layout of the weights, channels last, is kept in the file."""
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    pixels = pixels.contiguous(memory_format=torch.channels_last)
    torch.jit.save(torch.jit.freeze(_traced(network, pixels)), str(path))


def _load_torchscript(path: Path, threads: int) -> Predict:
    network = torch.jit.load(str(path)).eval()

    def predict(pixels: Tensor) -> Tensor:
        with torch.no_grad():
            return network(pixels.contiguous(memory_format=torch.channels_last))

    return predict


def _write_onnx(network: nn.Module, pixels: Tensor, path: Path, dynamic: bool) -> None:
    # The exporter that needs no more packages, where torch has two.
    known = inspect.signature(torch.onnx.export).parameters
    options: dict[str, Any] = dict(dynamo=False) if 'dynamo' in known else {}
    if dynamic:
        axes = {0: 'batch', 2: 'height', 3: 'width'}
        options['dynamic_axes'] = {_INPUT: axes, _OUTPUT: {0: 'batch', 2: 'rows', 3: 'columns'}}
    names: dict[str, Any] = dict(input_names=[_INPUT], output_names=[_OUTPUT])
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter('ignore')
        torch.onnx.export(network, (pixels,), str(path), opset_version=_OPSET, **names, **options)


def _load_onnx(path: Path, threads: int) -> Predict:
    runtime = import_module('onnxruntime')
    options = runtime.SessionOptions()
    options.intra_op_num_threads = threads
    session = runtime.InferenceSession(str(path), options, providers=['CPUExecutionProvider'])

    def predict(pixels: Tensor) -> Tensor:
        (logits,) = session.run([_OUTPUT], {_INPUT: pixels.contiguous().numpy()})
        return torch.from_numpy(logits)

    return predict


def _write_openvino(network: nn.Module, pixels: Tensor, path: Path, dynamic: bool) -> None:
    openvino = import_module('openvino')
    size = [-1, 3, -1, -1] if dynamic else list(pixels.shape)
    converted = openvino.convert_model(_traced(network, pixels), example_input=pixels, input=size)
    openvino.save_model(converted, str(path), compress_to_fp16=False)


def _load_openvino(path: Path, threads: int) -> Predict:
    openvino = import_module('openvino')
    options: dict[str, Any] = dict(
        INFERENCE_PRECISION_HINT='f32'
    )  # it takes bfloat16 where there is one
    if threads:
        options['INFERENCE_NUM_THREADS'] = threads
    compiled = openvino.compile_model(str(path), 'CPU', options)

    def predict(pixels: Tensor) -> Tensor:
        return torch.from_numpy(compiled(pixels.contiguous().numpy())[0].copy())

    return predict


FORMATS = {
    'torchscript': Format(('.pt',), (), '', _write_torchscript, _load_torchscript),
    'onnx': Format(('.onnx',), ('onnx', 'onnxruntime'), 'onnx', _write_onnx, _load_onnx),
    'openvino': Format(
        ('.xml', '.bin'), ('openvino',), 'openvino', _write_openvino, _load_openvino
    ),
}


def check_installed(names: Sequence[str]) -> None:
    """Check that the packages of some formats are there.

    Args:
        names: Keys of :data:`FORMATS`.

    Raises:
        UserInputError: If one is missing.
    """
    for name in names:
        missing = [package for package in FORMATS[name].packages if find_spec(package) is None]
        if missing:
            raise UserInputError(
                f'--format {name} needs the package {missing[0]}, which is not installed: '
                f"`pip install 'mmseg-ccdistill[{FORMATS[name].extra}]'`"
            )
