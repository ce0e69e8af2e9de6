"""What is counted of an iteration of the paper's config: FLOP and kept activations, exact everywhere."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config

from benchmarks.iteration_cost import build, count_iteration
from benchmarks.performance.sizes import Sizes
from benchmarks.repository import ROOT
from benchmarks.step_cost import GIB

CONFIGS = ROOT / 'configs/ccdistill'
PAPER = CONFIGS / 'refinenet_r101_cs2dz.py'


def flop_row(sizes: Sizes) -> dict[str, Any]:
    """FLOP of one iteration, in 10^12."""
    return dict(tflop=dict(value=count_iteration(build(PAPER)).flops / 1e12))


def activations_row(sizes: Sizes) -> dict[str, Any]:
    """GiB that one iteration keeps for its backward pass, in every mode that changes it."""
    return {name: dict(value=kept(*mode)) for name, mode in MODES.items()}


#: Config, type of the activations and whether decoders go backward early, by mode.
MODES: dict[str, tuple[Path, torch.dtype, bool]] = {
    'fp32': (PAPER, torch.float32, False),
    'fp32 early': (PAPER, torch.float32, True),
    'bf16': (PAPER, torch.bfloat16, False),
    'bf16 early': (PAPER, torch.bfloat16, True),
    'bf16 recomputed': (CONFIGS / 'refinenet_r101_cs2dz_8g.py', torch.bfloat16, False),
}


def kept(path: Path, dtype: torch.dtype, early: bool = False) -> float:
    """The most GiB that an iteration of a config keeps for its backward pass at once.

    Args:
        path: Config.
        dtype: Of the activations.
        early: ``model.early_decoder_backward``. Defaults to False.
    """
    config = Config.fromfile(str(path))
    config.model.early_decoder_backward = early
    return count_iteration(build(config), dtype).saved_bytes / GIB
