"""What the rows cost: counted operations and activations, and how long a row of equal compute trains."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any

from benchmarks.repository import ROOT
from benchmarks.step_cost import StepCost, count_run
from mmseg_ccdistill.runtime.command_line import load_config
from mmseg_ccdistill.runtime.override_syntax import format_override, parse_overrides


def row_cost(config: str, options: Mapping[str, Any], iters: int) -> StepCost:
    """Cost of a row's iterations, see :func:`count_run`.

    Args:
        config: Its config, absolute or relative to the repository.
        options: Its overrides.
        iters: Its length.
    """
    words = tuple(format_override(key, value) for key, value in options.items())
    return _counted(config, words, iters)


@functools.cache
def _counted(config: str, words: tuple[str, ...], iters: int) -> StepCost:
    return count_run(load_config(str(ROOT / config), parse_overrides(words)), iters)


def equal_length(own: StepCost, other: StepCost, iters: int) -> int:
    """How long a row trains that spends the FLOP of another one.

    Args:
        own: Cost of its steps.
        other: Cost of the steps of the other one.
        iters: Length of the other one.

    Returns:
        Iterations, at least 1.
    """
    return max(round(iters * other.flops / own.flops), 1)
