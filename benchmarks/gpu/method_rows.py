"""Every shipped config of the true size for a few steps."""

from __future__ import annotations

import time
from typing import Any

import torch

from benchmarks.gpu.device_work import GIB
from benchmarks.gpu.settings import Settings
from benchmarks.gpu.step_rows import read_losses
from benchmarks.gpu.training import Mode, Training, load_config, precision
from benchmarks.repository import ROOT
from benchmarks.row_running import NotHere
from mmseg_ccdistill.errors import UserInputError

PATTERNS = (
    'ccdistill/*_cs2dz*.py',
    'ccdistill/ablations/*_cs2dz_wo-cdc-cds.py',
    '*/*_cityscapes.py',
)


def method_names() -> list[str]:
    """Configs below ``configs`` that train at the sizes of the paper, the methods before the source-only stages."""
    folder = ROOT / 'configs'
    return [
        path.relative_to(folder).as_posix()
        for pattern in PATTERNS
        for path in sorted(folder.glob(pattern))
    ]


def method_row(settings: Settings, name: str) -> dict[str, Any]:
    """Train a config as it is shipped, but for cuDNN's search, which would take longer than the steps.

    Args:
        settings: ``method_steps`` is the number of steps.
        name: Config below ``configs``.

    Returns:
        ``its_per_second`` of the last three quarters, ``peak_gib`` on a GPU, ``losses`` of the last step.

    Raises:
        NotHere: If the backbone needs a package that is not installed.
    """
    mode = Mode(benchmark=False)
    untimed = settings.method_steps // 4
    if settings.cuda:
        torch.cuda.reset_peak_memory_stats()
    with precision(mode):
        try:
            training = Training(settings, load_config(name, settings), mode)
        except UserInputError as error:
            if isinstance(error.__cause__, ImportError):
                raise NotHere(str(error)) from error
            raise
        training.skip_to(101)
        start = time.perf_counter()
        for number in range(settings.method_steps):
            if number == untimed:
                settings.synchronize()
                start = time.perf_counter()
            logs = training.step()
        settings.synchronize()
        seconds = time.perf_counter() - start
        found: dict[str, Any] = dict(
            its_per_second=(settings.method_steps - untimed) / seconds, losses=read_losses(logs)
        )
    if settings.cuda:
        found['peak_gib'] = torch.cuda.max_memory_allocated() / GIB
    return found
