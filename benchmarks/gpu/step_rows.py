"""The step of the paper's config in every mode: rate, memory, kernels, waits."""

from __future__ import annotations

import math
import time
from typing import Any

import torch

from benchmarks.gpu.device_work import count_waits, profile_step, time_blocks
from benchmarks.gpu.settings import Settings
from benchmarks.gpu.training import PAPER, Mode, Training, load_config, precision
from benchmarks.row_running import NotHere

#: FLOP of one iteration at a crop of 512, counted by tests/test_cost.py.
ITERATION_TFLOP = 10.895

MODES = {
    # MMEngine's default runtime: no guards, cuDNN's heuristics, its own log hook.
    'mmengine default': Mode(benchmark=False, hooks=False),
    'bf16 channels_last': Mode(bf16=True, channels_last=True),
    'tf32': Mode(),
    'bf16': Mode(bf16=True),
    'fp32': Mode(tf32=False),
}
FASTEST = MODES['bf16 channels_last']


def measure_mode(settings: Settings, mode: Mode) -> dict[str, Any]:
    """Time, memory, kernels and waits of a step.

    Args:
        settings: Of the run.
        mode: How it is computed.

    Returns:
        What :mod:`device_work` measures, ``tflops``, and the ``losses`` of the last step.
    """
    with precision(mode):
        training = Training(settings, load_config(PAPER, settings), mode)
        found = time_blocks(training.step, settings)
        _finish(found, settings)
        training.skip_to(101)  # neither logged nor diagnosed
        found.update(count_waits(training.step, settings))
        training.skip_to(101)
        found.update(profile_step(training.step, settings))
        training.skip_to(101)
        found['losses'] = read_losses(training.step())
    return found


def _finish(found: dict[str, Any], settings: Settings) -> None:
    if not settings.tiny:
        found['tflops'] = ITERATION_TFLOP * found['its_per_second']


def read_losses(logs: dict[str, Any]) -> dict[str, float]:
    """Loss terms of a step as numbers.

    Args:
        logs: What a step returned.

    Returns:
        By name.

    Raises:
        FloatingPointError: If one is not finite.
    """
    losses = {key: float(value.detach()) for key, value in logs.items() if 'loss' in key}
    bad = [key for key, value in losses.items() if not math.isfinite(value)]
    if bad:
        raise FloatingPointError(f'not finite: {", ".join(bad)}')
    return losses


def capture(training: Training, settings: Settings) -> torch.cuda.CUDAGraph:
    """A step as one CUDA graph: forward, backward and optimizer, on a fixed batch on the device.

    Args:
        training: Warmed up by this function.
        settings: Of the run.

    Returns:
        Graph; each replay is a step at the learning rate of the capture.
    """
    batch = training.batches[0]
    training.batches = [training.model.data_preprocessor.cast_data(batch)]
    training.skip_to(101)
    training.tell_iteration(101)
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(settings.warmup):
            training.bare_step()
    torch.cuda.current_stream().wait_stream(stream)
    settings.synchronize()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        training.bare_step()
    return graph


def measure_graph(settings: Settings, training: Training) -> dict[str, Any]:
    """Rate of a captured step, checked to learn.

    Args:
        settings: Of the run.
        training: What is captured.

    Returns:
        As :func:`measure_mode`, without losses; ``changes``: the share of the weights that a replay changes.
    """
    graph = capture(training, settings)
    before = [parameter.detach().clone() for parameter in training.model.parameters()]
    graph.replay()
    settings.synchronize()
    changed = sum(
        int((old != new).sum())
        for old, new in zip(before, training.model.parameters(), strict=True)
    )
    total = sum(old.numel() for old in before)
    del before
    found = time_blocks(graph.replay, settings)
    _finish(found, settings)
    found['changes'] = changed / total
    found.update(count_waits(graph.replay, settings), **profile_step(graph.replay, settings))
    found['conv_share'] = None  # the profiler sees no operators in a replay
    return found


def graphed(settings: Settings) -> dict[str, Any]:
    """The fastest eager mode as one CUDA graph.

    Args:
        settings: Of the run.

    Returns:
        See :func:`measure_graph`.

    Raises:
        NotHere: Without a GPU.
    """
    if not settings.cuda:
        raise NotHere('CUDA graphs need a CUDA device')
    with precision(FASTEST):
        training = Training(settings, load_config(PAPER, settings), FASTEST)
        return measure_graph(settings, training)


def compiled(settings: Settings) -> dict[str, Any]:
    """Backbones and decoders through ``torch.compile``, then the whole step captured as one CUDA graph.

    Args:
        settings: Of the run.

    Returns:
        As :func:`measure_mode`; ``compile_seconds`` of the first two steps; ``graph`` of the captured step,
        or why it could not be captured.

    Raises:
        NotHere: If this torch cannot compile a module in place.
    """
    if not hasattr(torch.nn.Module, 'compile'):
        raise NotHere(f'torch {torch.__version__} cannot compile a module in place')
    with precision(FASTEST):
        training = Training(settings, load_config(PAPER, settings), FASTEST)
        for branch in (training.model.day, training.model.night):
            for part in (branch.backbone, branch.decode_head):
                part.compile(**(dict(backend='eager') if settings.tiny else {}))
        training.skip_to(101)
        start = time.perf_counter()
        for _ in range(2):
            training.step()
        settings.synchronize()
        seconds = time.perf_counter() - start
        found = time_blocks(training.step, settings)
        _finish(found, settings)
        found['compile_seconds'] = seconds
        training.skip_to(101)
        found.update(count_waits(training.step, settings))
        training.skip_to(101)
        found.update(profile_step(training.step, settings))
        training.skip_to(101)
        found['losses'] = read_losses(training.step())
        try:
            found['graph'] = (
                measure_graph(settings, training) if settings.cuda else 'no CUDA device'
            )
        except Exception as error:  # the eager numbers stand without it
            found['graph'] = f'{type(error).__name__}: {str(error).splitlines()[0][:300]}'
    return found
