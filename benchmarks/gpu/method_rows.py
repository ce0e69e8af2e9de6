"""Every method of the repository at the true size, and CCDistill on every network, for a few steps."""

from __future__ import annotations

import time
from typing import Any

import torch

from benchmarks.gpu.device_work import GIB
from benchmarks.gpu.settings import Settings
from benchmarks.gpu.step_rows import read_losses
from benchmarks.gpu.training import Mode, Training, load_config, precision
from benchmarks.row_running import NotHere
from mmseg_ccdistill.errors import UserInputError

#: Configs below ``configs``, the systems before the networks. Stages that differ in their labels alone stand once.
METHODS = (
    'ccdistill/refinenet_r101_cs2dz.py',
    'adaptsegnet/refinenet_r101_cs2dz.py',
    'adaptsegnet/refinenet_r101_cs2dz_multi-level.py',
    'advent/refinenet_r101_cs2dz.py',
    'advent/refinenet_r101_cs2dz_minent.py',
    'bdl_lab/refinenet_r101_cs2dz_ssl0.py',
    'bdl_lab/refinenet_r101_cs2dz_ssl1.py',
    'udaclustering/refinenet_r101_cs2dz.py',
    'dannet/refinenet_r101_cs2dz.py',
    'dmada/refinenet_r101_cs2dz_twilight.py',
    'dmada/refinenet_r101_cs2dz.py',
    'gcma/refinenet_r101_cs2dz_day.py',
    'gcma/refinenet_r101_cs2dz.py',
    'mgcda/refinenet_r101_cs2dz.py',
    'ccdistill/ablations/refinenet_r101_cs2dz_wo-cdc-cds.py',
    'ccdistill/refinenet_r101_cs2dz_matched.py',
    'ccdistill/refinenet_r101_cs2dz_plus.py',
    'ccdistill/refinenet_r101_cs2dz_11g.py',
    'ccdistill/refinenet_r101_cs2dz_8g.py',
    'refinenet/refinenet_r101_cityscapes.py',
    'ccdistill/deeplabv2_r101_cs2dz.py',
    'ccdistill/segformer_mit-b5_cs2dz.py',
    'ccdistill/segformer_mit-b5_cs2dz_plus.py',
    'ccdistill/upernet_swin-b_cs2dz.py',
    'ccdistill/dinov2_vit-l_rein_cs2dz.py',
    'ccdistill/dinov2_vit-l_rein_cs2dz_plus.py',
    'ccdistill/dinov3_vit-l_rein_cs2dz.py',
)


def method_row(settings: Settings, name: str) -> dict[str, Any]:
    """Train a config as it is shipped, but for cuDNN's search, which would take longer than the steps.

    The steps are those after the middle of a run: self-training has begun, and no step is logged.

    Args:
        settings: ``method_steps`` is the number of steps.
        name: Config below ``configs``.

    Returns:
        ``its_per_second`` of the last three quarters, ``peak_gib`` on a GPU, ``losses`` of the last step.

    Raises:
        FloatingPointError: If one of them is not finite.
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
        training.skip_to(training.runner.max_iters // 2 + 1)
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
