"""Losses of a lower precision beside those of float32: same weights, same batches, same dropout."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from typing import Any

import torch

from benchmarks.gpu.batches import make_batches
from benchmarks.gpu.settings import Settings
from benchmarks.gpu.step_rows import MODES
from benchmarks.gpu.training import PAPER, Mode, Training, load_config, precision


def losses_of(settings: Settings, mode: Mode) -> dict[str, list[float]]:
    """Loss terms of every step of a short training.

    Args:
        settings: Of the run.
        mode: Precision.

    Returns:
        One list per term.
    """
    with precision(mode):
        batches = make_batches(settings.side, 2 if settings.tiny else 16, pin=settings.cuda)
        training = Training(settings, load_config(PAPER, settings), mode, batches=batches)
        rows = [training.step() for _ in range(settings.compared)]
        keys = [key for key in rows[0] if 'loss' in key]
        return {key: torch.stack([row[key].double() for row in rows]).tolist() for key in keys}


def deviation(values: Sequence[float], reference: Sequence[float]) -> dict[str, float]:
    """How far one curve is from another, relative to the mean size of the reference.

    Args:
        values: A curve.
        reference: The other one, of the same length.

    Returns:
        ``mean`` and ``max`` of the absolute differences, and the difference of the ``last`` quarter's means,
        all over the mean absolute value of the reference.
    """
    scale = statistics.fmean(map(abs, reference)) or 1.0
    differences = [abs(a - b) / scale for a, b in zip(values, reference, strict=True)]
    quarter = max(1, len(values) // 4)
    last = abs(statistics.fmean(values[-quarter:]) - statistics.fmean(reference[-quarter:]))
    return dict(mean=statistics.fmean(differences), max=max(differences), last=last / scale)


def compare_precisions(settings: Settings) -> dict[str, Any]:
    """Loss curves of TF32 and bfloat16 against float32.

    Args:
        settings: ``compared`` is the number of steps.

    Returns:
        ``bf16`` and ``tf32``: :func:`deviation` by term; ``curves``: every 10th value of each mode.
    """
    curves = {
        name: losses_of(settings, MODES[mode])
        for name, mode in (('fp32', 'fp32'), ('bf16', 'bf16 channels_last'), ('tf32', 'tf32'))
    }
    found: dict[str, Any] = {
        name: {key: deviation(curves[name][key], values) for key, values in curves['fp32'].items()}
        for name in ('bf16', 'tf32')
    }
    found['curves'] = {
        name: {key: [round(v, 5) for v in values[::10]] for key, values in terms.items()}
        for name, terms in curves.items()
    }
    return found
