"""The ratios and their goals.

A goal is what a good implementation reaches, the extreme what is close to the limit: the work that no implementation
can leave out. docs/performance.md says how each was found.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from benchmarks.gpu.page import Goal, verdict

Rows = Mapping[str, Mapping[str, Any]]


class Figure(NamedTuple):
    """A number of a row and what it should be.

    Attributes:
        row: Name of the row.
        key: Its key in the row's result.
        what: Numerator and denominator, or what is counted.
        good: The goal.
        extreme: Close to the limit; None if there is no more than good.
        at_least: Whether larger is better.
        counted: Whether it is exact, and the same on every machine.
    """

    row: str
    key: str
    what: str
    good: float
    extreme: float | None = None
    at_least: bool = False
    counted: bool = False

    def measured(self, rows: Rows) -> dict[str, float] | None:
        """``value`` and, of a timed one, ``low`` and ``high``; None if it is not there."""
        return rows.get(self.row, {}).get('result', {}).get(self.key)

    def verdict(self, rows: Rows) -> str:
        """``not measured``, ``missed``, ``met`` or ``extreme``."""
        found = self.measured(rows)
        goal = Goal(self.what, lambda rows: None, self.good, self.extreme, self.at_least)
        return verdict(goal, None if found is None else found['value'])


def _exported(
    name: str, title: str, whole: tuple[float, float], network: tuple[float, float]
) -> tuple[Figure, Figure, Figure]:
    """Figures of an export: goal and extreme of the whole prediction, and of the network alone."""
    row = f'exported {name}'
    return (
        Figure(row, 'exported', f"M_n by {title}, pixels to labels / mmseg's test step", *whole),
        Figure(row, 'agreement', f'share of labels that agree, {title}', 0.9999, at_least=True),
        Figure(row, 'network', f'network by {title} / its FLOP at the best convolution', *network),
    )


FIGURES = (
    Figure(
        'step', 'step', 'step of CCDistill / of its two supervised branches, per FLOP', 1.00, 0.95
    ),
    Figure('terms', 'terms', 'head, L_CDC and L_CDS / projection head alone', 1.25, 1.15),
    Figure('gram', 'channel', 'Gram cosine from C × C / from N × N matrices', 8, 10, at_least=True),
    Figure('static', 'nchw', 'pseudo labels and static loss / cross-entropy', 1.8, 1.3),
    Figure('static', 'channels_last', 'the same, channels last', 1.8, 1.3),
    Figure('lab', 'transfer', 'LAB transfer / its three colour conversions', 1.5, 1.25),
    Figure('pipeline', 'pipeline', 'training sample / decoding of its files', 1.10, 1.05),
    Figure('pipeline', 'plus', 'the same with the light and the draws of plus', 1.25),
    Figure('cache', 'png', 'training sample from a cache of run-length PNG / from the files', 0.65),
    Figure('cache', 'raw', 'training sample from a cache of arrays / from the files', 0.07, 0.05),
    *_exported('torchscript', 'TorchScript', (0.70, 0.62), (1.25, 1.1)),
    *_exported('onnx', 'ONNX Runtime', (0.60, 0.55), (1.10, 1.05)),
    *_exported('openvino', 'OpenVINO', (0.60, 0.55), (1.10, 1.05)),
    Figure('resize', 'two steps', "mmseg's two resizes and argmax / ours", 3, 4, at_least=True),
    Figure('resize', 'agreement', 'share of labels that agree', 0.9999, at_least=True),
    Figure('confusion', 'histograms', "mmseg's IoU counts / ours", 6, 12, at_least=True),
    Figure('sgd', 'loop', 'SGD in a loop / fused, on a CPU', 1.5, 1.8, at_least=True),
    Figure('activations', 'fp32', 'GiB kept by an iteration, float32', 8.65, counted=True),
    Figure('activations', 'fp32 early', 'the same, decoders go backward early', 6.3, counted=True),
    Figure('activations', 'bf16', 'GiB kept by an iteration, bfloat16', 4.9, counted=True),
    Figure('activations', 'bf16 early', 'the same, decoders go backward early', 3.3, counted=True),
    Figure(
        'activations',
        'bf16 recomputed',
        'the same, bottlenecks and pooling chains recomputed',
        1.85,
        counted=True,
    ),
    Figure('flop', 'tflop', 'TFLOP of an iteration', 10.95, counted=True),
    Figure('waits', 'reads', 'reads of values in an iteration that is not logged', 0, counted=True),
    Figure('runner', 'runner', 'step of the runner, guards on / loop by hand', 1.02),
    Figure('growth', 'growth', 'growth of memory over 200 iterations', 0.01),
)
