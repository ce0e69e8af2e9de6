"""The machine: its GPU and software, and two rates that size all other numbers."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
import time
from typing import Any

import torch
from mmengine.version import __version__ as mmengine_version
from mmseg.version import __version__ as mmseg_version

from benchmarks.gpu.settings import Settings
from mmseg_ccdistill.version import __version__


def driver_version() -> str | None:
    """Version of the NVIDIA driver; None if nobody can tell."""
    query = ['nvidia-smi', '--query-gpu=driver_version', '--format=csv,noheader']
    try:
        answer = subprocess.run(query, capture_output=True, text=True, timeout=20, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return answer.stdout.strip().splitlines()[0] if answer.stdout.strip() else None


def _product_rate(settings: Settings) -> float:
    """TFLOP/s of a bfloat16 product of square matrices, random content."""
    side = 64 if settings.tiny else 8192
    first, second = (
        torch.randn(side, side, device=settings.device, dtype=torch.bfloat16) for _ in range(2)
    )
    seconds = _seconds(lambda: first @ second, settings)
    return 2 * side**3 / seconds / 1e12


def _copy_rate(settings: Settings) -> float:
    """TB/s of a copy on the device, bytes read and written."""
    source = torch.rand(2**10 if settings.tiny else 2**29, device=settings.device)
    target = torch.empty_like(source)
    seconds = _seconds(lambda: target.copy_(source), settings)
    return 2 * source.numel() * source.element_size() / seconds / 1e12


def _seconds(call: Any, settings: Settings, repeats: int = 10) -> float:
    for _ in range(3):
        call()
    settings.synchronize()
    start = time.perf_counter()
    for _ in range(repeats):
        call()
    settings.synchronize()
    return (time.perf_counter() - start) / repeats


def versions() -> dict[str, Any]:
    """Names and versions of what any benchmark runs on."""
    return dict(
        device=platform.processor() or platform.machine(),
        python=sys.version.split()[0],
        torch=torch.__version__,
        mmengine=mmengine_version,
        mmseg=mmseg_version,
        mmseg_ccdistill=__version__,
        cores=os.cpu_count(),
    )


def environment(settings: Settings) -> dict[str, Any]:
    """What the numbers were measured on.

    Args:
        settings: Of the run.

    Returns:
        Names and versions, and the rates ``bf16_tflops`` and ``copy_tb_per_second``.
    """
    found = versions()
    if settings.cuda:
        properties = torch.cuda.get_device_properties(settings.device)
        found.update(
            device=properties.name,
            memory_gib=properties.total_memory / 2**30,
            multiprocessors=properties.multi_processor_count,
            cuda=torch.version.cuda,
            cudnn=torch.backends.cudnn.version(),
            driver=driver_version(),
        )
    found['bf16_tflops'] = _product_rate(settings)
    found['copy_tb_per_second'] = _copy_rate(settings)
    return found
