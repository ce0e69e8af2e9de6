"""The rows of a run, the most important first."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from benchmarks.gpu.environment import environment
from benchmarks.gpu.guard_rows import guard_row
from benchmarks.gpu.inference_rows import inference, inference_graph, onnx_export
from benchmarks.gpu.method_rows import METHODS, method_row
from benchmarks.gpu.precision_rows import compare_precisions
from benchmarks.gpu.process_row import process_row
from benchmarks.gpu.resume_row import resume_row
from benchmarks.gpu.settings import Settings
from benchmarks.gpu.step_rows import MODES, compiled, graphed, measure_mode


@dataclass(frozen=True)
class Row:
    """One measurement.

    Attributes:
        name: Its key in the JSON; the part before the colon is its group.
        run: What measures.
        apart: Whether it runs in a process of its own, which is ended when the time is up. For what may hang,
            spoil the device's context or leave something behind.
        least_seconds: It is not begun with less time left.
        most_seconds: It is ended after that, if it runs apart.
    """

    name: str
    run: Callable[[Settings], dict[str, Any]]
    apart: bool = False
    least_seconds: float = 5.0
    most_seconds: float = 120.0


def all_rows() -> list[Row]:
    """Every row in its order: what a run that is cut short should have measured comes first."""
    return [
        Row('environment', environment),
        *(Row(f'step: {name}', partial(_mode, name=name), least_seconds=15) for name in MODES),
        Row('step: bf16 channels_last graphed', graphed, apart=True, least_seconds=20),
        Row('guard: loss scaler', partial(guard_row, scaler=True, fused=False)),
        Row('guard: loss scaler, fused optimizer', partial(guard_row, scaler=True, fused=True)),
        Row('guard: no loss scaler', partial(guard_row, scaler=False, fused=False)),
        Row('resume', resume_row, least_seconds=10),
        Row('one process', process_row, apart=True, least_seconds=15),
        Row('inference: precisions', inference, least_seconds=15),
        Row('inference: graphed', inference_graph, apart=True, least_seconds=15),
        *(
            Row(f'method: {name}', partial(method_row, name=name), least_seconds=10)
            for name in METHODS
        ),
        Row('losses: against fp32', compare_precisions, least_seconds=60),
        Row(
            'step: bf16 channels_last compiled',
            compiled,
            apart=True,
            least_seconds=60,
            most_seconds=400,
        ),
        Row('inference: ONNX Runtime', onnx_export, apart=True, least_seconds=30),
    ]


def _mode(settings: Settings, name: str) -> dict[str, Any]:
    return measure_mode(settings, MODES[name])
