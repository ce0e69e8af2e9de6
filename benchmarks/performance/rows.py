"""The rows of a run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from benchmarks.performance.confusion_pass import confusion_row
from benchmarks.performance.counted_iteration import activations_row, flop_row
from benchmarks.performance.distillation_terms import terms_row
from benchmarks.performance.exported_network import exported_row
from benchmarks.performance.gram_forms import gram_row
from benchmarks.performance.host_waits import waits_row
from benchmarks.performance.lab_colour import lab_row
from benchmarks.performance.label_resize import resize_row
from benchmarks.performance.machine import environment
from benchmarks.performance.memory_growth import growth_row
from benchmarks.performance.optimizer_step import sgd_row
from benchmarks.performance.pixel_losses import static_row
from benchmarks.performance.sample_pipeline import cache_row, pipeline_row
from benchmarks.performance.sizes import Sizes
from benchmarks.performance.step_overhead import runner_row, step_row
from mmseg_ccdistill.export.deployment_formats import FORMATS


@dataclass(frozen=True)
class Row:
    """One measurement.

    Attributes:
        name: Its key in the JSON.
        run: What measures; returns ``{figure: {'value': number, ...}}`` and facts.
    """

    name: str
    run: Callable[[Sizes], dict[str, Any]]


def all_rows() -> list[Row]:
    """Every row: the counted ones, then the timed ones."""
    return [
        Row('environment', environment),
        Row('activations', activations_row),
        Row('flop', flop_row),
        Row('waits', waits_row),
        Row('step', step_row),
        Row('terms', terms_row),
        Row('gram', gram_row),
        Row('static', static_row),
        Row('lab', lab_row),
        Row('pipeline', pipeline_row),
        Row('cache', cache_row),
        Row('resize', resize_row),
        *(Row(f'exported {name}', partial(exported_row, name=name)) for name in FORMATS),
        Row('confusion', confusion_row),
        Row('sgd', sgd_row),
        Row('runner', runner_row),
        Row('growth', growth_row),
    ]
