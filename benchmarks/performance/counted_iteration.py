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
    return {name: dict(value=kept(path, dtype)) for name, (path, dtype) in MODES.items()}


#: Config and type of the activations by mode.
MODES: dict[str, tuple[Path, torch.dtype]] = {
    'fp32': (PAPER, torch.float32),
    'bf16': (PAPER, torch.bfloat16),
    'bf16 recomputed': (CONFIGS / 'refinenet_r101_cs2dz_8g.py', torch.bfloat16),
}


def kept(path: Path, dtype: torch.dtype) -> float:
    """GiB that an iteration of a config keeps for its backward pass.

    Args:
        path: Config.
        dtype: Of the activations.
    """
    return count_iteration(build(Config.fromfile(str(path))), dtype).saved_bytes / GIB
