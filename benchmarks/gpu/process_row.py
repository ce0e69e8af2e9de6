"""A step through the wrapper of distributed training with one process, beside a plain one."""

from __future__ import annotations

from typing import Any

import torch
import torch.distributed as dist
from mmengine.model import MMDistributedDataParallel

from benchmarks.gpu.guard_rows import SMALL
from benchmarks.gpu.settings import Settings
from benchmarks.gpu.step_rows import read_losses
from benchmarks.gpu.training import Mode, Training, build_model, load_config, precision
from benchmarks.row_running import NotHere

STEPS = 3


def process_row(settings: Settings) -> dict[str, Any]:
    """Three steps with NCCL (gloo on a CPU) and three without.

    Args:
        settings: Of the run.

    Returns:
        ``backend``, the ``losses`` of the last step, and ``difference``: the largest difference of a weight from
        plain training, relative to the largest weight of its tensor.

    Raises:
        NotHere: If this torch lacks the backend.
    """
    backend = 'nccl' if settings.cuda else 'gloo'
    available = dist.is_available() and (
        dist.is_nccl_available() if settings.cuda else dist.is_gloo_available()
    )
    if not available:
        raise NotHere(f'torch {torch.__version__} has no {backend}')
    config, mode = load_config(SMALL, settings), Mode(tf32=False, benchmark=False)
    with precision(mode):
        plain = Training(settings, config, mode)
        plain.skip_to(101)
        for _ in range(STEPS):
            plain.step()
        dist.init_process_group(backend, store=dist.HashStore(), rank=0, world_size=1)
        try:
            wrapped = MMDistributedDataParallel(
                build_model(config, settings),
                device_ids=[settings.device.index] if settings.cuda else None,
                broadcast_buffers=False,
                find_unused_parameters=config.get('find_unused_parameters', False),
            )
            training = Training(settings, config, mode, wrapped)
            training.skip_to(101)
            for _ in range(STEPS):
                logs = training.step()
            losses = read_losses(logs)
        finally:
            dist.destroy_process_group()
    pairs = zip(wrapped.module.parameters(), plain.model.parameters(), strict=True)
    differences = [
        float((ours - theirs).detach().abs().max() / theirs.detach().abs().max().clamp(min=1e-6))
        for ours, theirs in pairs
    ]
    return dict(backend=backend, losses=losses, difference=max(differences))
