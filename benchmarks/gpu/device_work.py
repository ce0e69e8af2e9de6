"""What a step does on the device: time, memory, kernels, and the host's waits for it."""

from __future__ import annotations

import re
import statistics
import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch.profiler import ProfilerActivity, profile

from benchmarks.gpu.settings import Settings

GIB = 2**30
#: Operators under which convolutions run; their share contains the copies into cuDNN's layout.
CONVOLUTIONS = ('aten::cudnn_convolution', 'aten::mkldnn_convolution', 'aten::convolution_backward')
#: Kernels that change the layout of a tensor for cuDNN.
LAYOUT = re.compile(r'nchwToNhwc|nhwcToNchw|nchw_to_nhwc|nhwc_to_nchw', re.IGNORECASE)
#: Spans on the device that are no kernels: copies, and the names that torch gives to stretches of work.
NO_KERNEL = ('Memcpy', 'Memset', 'Optimizer.', 'ProfilerStep')
WAITS = ('cudaStreamSynchronize', 'cudaEventSynchronize', 'cudaMemcpy')


def time_blocks(step: Callable[[], Any], settings: Settings) -> dict[str, Any]:
    """Rate of a step over blocks, the device waited for at both ends of each.

    Args:
        step: One step.
        settings: Number and size of the blocks.

    Returns:
        ``its_per_second`` and ``ms`` of the median block, the ``ms`` of every block, and on a GPU the
        highest memory in GiB that tensors took (``peak_gib``) and that was reserved.
    """
    for _ in range(settings.warmup):
        step()
    settings.synchronize()
    if settings.cuda:
        torch.cuda.empty_cache()  # what cuDNN tried in the warm-up
        torch.cuda.reset_peak_memory_stats()
    durations = []
    for _ in range(settings.blocks):
        start = time.perf_counter()
        for _ in range(settings.block):
            step()
        settings.synchronize()
        durations.append((time.perf_counter() - start) / settings.block)
    median = statistics.median(durations)
    found: dict[str, Any] = dict(
        its_per_second=1 / median, ms=1e3 * median, ms_of_blocks=[1e3 * d for d in durations]
    )
    if settings.cuda:
        found['peak_gib'] = torch.cuda.max_memory_allocated() / GIB
        found['reserved_gib'] = torch.cuda.max_memory_reserved() / GIB
    return found


def count_waits(step: Callable[[], Any], settings: Settings) -> dict[str, Any]:
    """How often torch makes the host wait for the device in a step.

    Args:
        step: One step.
        settings: Of the run.

    Returns:
        ``host_waits`` per step, and the ``places`` in the code; None on a CPU, which has nothing to wait for.
    """
    if not settings.cuda:
        step()
        return dict(host_waits=None, places={})
    settings.synchronize()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter('always')
        torch.cuda.set_sync_debug_mode('warn')
        try:
            for _ in range(settings.profiled):
                step()
        finally:
            torch.cuda.set_sync_debug_mode('default')
    places = Counter(
        '/'.join(w.filename.split('/')[-2:]) + f':{w.lineno}'
        for w in caught
        if 'synchroniz' in str(w.message)
    )
    return dict(host_waits=sum(places.values()) / settings.profiled, places=dict(places))


def _microseconds(event: Any) -> float:
    """Time of an operator's kernels; torch 2.1 has another name for it."""
    return float(getattr(event, 'device_time_total', 0) or getattr(event, 'cuda_time_total', 0))


def profile_step(step: Callable[[], Any], settings: Settings) -> dict[str, Any]:
    """Kernels of a step by torch's profiler.

    Args:
        step: One step.
        settings: Of the run.

    Returns:
        On a GPU per step: ``kernels``, ``kernel_ms``, ``layout_kernels``, ``layout_ms``, ``waits`` by CUDA call,
        ``copy_call_ms`` of the host in calls that copy, ``conv_share`` of the kernels' time, and the ten
        ``longest`` kernels. On a CPU the share of the convolutions in the time of all operators.
    """
    activities = [ProfilerActivity.CPU] + ([ProfilerActivity.CUDA] if settings.cuda else [])
    with profile(activities=activities) as profiler:
        for _ in range(settings.profiled):
            step()
        settings.synchronize()
    averages = profiler.key_averages()
    steps = settings.profiled
    if not settings.cuda:
        total = sum(event.self_cpu_time_total for event in averages)
        conv = sum(event.cpu_time_total for event in averages if event.key in CONVOLUTIONS)
        return dict(kernels=None, conv_share=conv / total)
    return summarise(profiler.events(), averages, steps)


def summarise(events: Iterable[Any], averages: Iterable[Any], steps: int) -> dict[str, Any]:
    """Sum up what the profiler saw on a GPU.

    Args:
        events: Its events: spans on the device, operators and CUDA calls on the host.
        averages: Its averages by operator.
        steps: Number of steps.

    Returns:
        See :func:`profile_step`.
    """
    kernels: dict[str, list[float]] = {}
    calls: Counter[str] = Counter()
    copying = 0.0
    for event in events:
        if event.device_type == torch.autograd.DeviceType.CUDA:
            named = getattr(event, 'is_user_annotation', False)
            if not named and not event.name.startswith(NO_KERNEL):
                kernels.setdefault(event.name, []).append(event.time_range.elapsed_us())
        elif event.name in WAITS:
            calls[event.name] += 1
        elif event.name == 'cudaMemcpyAsync':  # waits too if the host's memory is not pinned
            copying += event.time_range.elapsed_us()
    total = sum(map(sum, kernels.values()))
    layout = [d for name, durations in kernels.items() if LAYOUT.search(name) for d in durations]
    conv = sum(_microseconds(event) for event in averages if event.key in CONVOLUTIONS)
    longest = sorted(kernels.items(), key=lambda item: -sum(item[1]))[:10]
    return dict(
        kernels=sum(map(len, kernels.values())) / steps,
        kernel_ms=total / steps / 1e3,
        conv_share=conv / total if total else None,
        layout_kernels=len(layout) / steps,
        layout_ms=sum(layout) / steps / 1e3,
        waits={name: count / steps for name, count in calls.items()},
        copy_call_ms=copying / steps / 1e3,
        longest={name[:120]: sum(durations) / steps / 1e3 for name, durations in longest},
    )
