"""Tables of a run, and its goals."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

Rows = Mapping[str, Mapping[str, Any]]

DEFAULT, EAGER = 'step: mmengine default', 'step: bf16 channels_last'
FASTEST = (EAGER, 'step: bf16 channels_last graphed', 'step: bf16 channels_last compiled')


class Goal(NamedTuple):
    """A number that the step should reach on an H100.

    Where they come from: docs/performance.md, "On a GPU".

    Attributes:
        what: Its name.
        measured: Reads it from the rows; None if a row is missing.
        good: What is good.
        extreme: What is close to the limit; None if there is no more than good.
        at_least: Whether larger is better.
    """

    what: str
    measured: Callable[[Rows], float | None]
    good: float
    extreme: float | None = None
    at_least: bool = True


def value(rows: Rows, name: str, key: str) -> float | None:
    """A number of a row that is done; None if it is not there."""
    return rows.get(name, {}).get('result', {}).get(key)


def fastest(rows: Rows) -> float | None:
    """Iterations per second of the fastest mode."""
    rates = [value(rows, name, 'its_per_second') for name in FASTEST]
    graph = rows.get(FASTEST[-1], {}).get('result', {}).get('graph')
    rates += [graph.get('its_per_second')] if isinstance(graph, Mapping) else []
    known = [rate for rate in rates if rate is not None]
    return max(known) if known else None


def _ratio(rate: float | None, rows: Rows) -> float | None:
    base = value(rows, DEFAULT, 'its_per_second')
    return None if rate is None or base is None else rate / base


GOALS = (
    Goal('it/s, bf16 channels last, eager', lambda r: value(r, EAGER, 'its_per_second'), 23),
    Goal('it/s, fastest mode', fastest, 23, 32),
    Goal(
        "eager bf16 over MMEngine's default",
        lambda r: _ratio(value(r, EAGER, 'its_per_second'), r),
        2.0,
    ),
    Goal("fastest mode over MMEngine's default", lambda r: _ratio(fastest(r), r), 2.0, 2.9),
    Goal('peak memory in GiB, bf16', lambda r: value(r, EAGER, 'peak_gib'), 9, at_least=False),
    Goal('host waits per step', lambda r: value(r, EAGER, 'host_waits'), 0, at_least=False),
    Goal('share of convolutions', lambda r: value(r, EAGER, 'conv_share'), 0.7),
    Goal(
        'kernels that change layout, per step',
        lambda r: value(r, EAGER, 'layout_kernels'),
        0,
        at_least=False,
    ),
)


def verdict(goal: Goal, measured: float | None) -> str:
    """Whether a goal is met.

    Args:
        goal: The goal.
        measured: The number; None if it was not measured.

    Returns:
        ``not measured``, ``missed``, ``met`` or ``extreme``.
    """
    if measured is None:
        return 'not measured'
    sign = 1 if goal.at_least else -1
    if goal.extreme is not None and sign * measured >= sign * goal.extreme:
        return 'extreme'
    return 'met' if sign * measured >= sign * goal.good else 'missed'


def show(number: Any) -> str:
    """A cell: four digits of a number, a dash for nothing."""
    if number is None:
        return '-'
    if isinstance(number, bool) or not isinstance(number, int | float):
        return str(number).replace('|', '/')
    return f'{number:,.0f}' if abs(number) >= 1000 else f'{number:.4g}'


def table(headings: Sequence[str], lines: Sequence[Sequence[Any]]) -> list[str]:
    """Lines of a Markdown table and an empty one; nothing if it has no rows."""
    if not lines:
        return []
    rows = [list(headings), ['---'] * len(headings), *([show(c) for c in line] for line in lines)]
    return ['| ' + ' | '.join(row) + ' |' for row in rows] + ['']


def _steps(rows: Rows) -> list[str]:
    keys = (
        'its_per_second',
        'tflops',
        'peak_gib',
        'reserved_gib',
        'kernels',
        'conv_share',
        'layout_kernels',
        'host_waits',
    )
    lines = []
    for name, row in rows.items():
        if not name.startswith('step: ') or row['status'] != 'done':
            continue
        results = [(name, row['result'])]
        if isinstance(row['result'].get('graph'), Mapping):
            results.append((f'{name}, graphed', row['result']['graph']))
        for label, result in results:
            cells = [result.get(key) for key in keys]
            lines.append([label[6:], cells[0], _ratio(cells[0], rows), *cells[1:]])
    headings = ['step', 'it/s', "/ MMEngine's default", 'TFLOP/s', 'peak GiB', 'reserved GiB']
    return table([*headings, 'kernels', 'conv share', 'layout kernels', 'host waits'], lines)


def _losses(rows: Rows) -> list[str]:
    result = rows.get('losses: against fp32', {}).get('result', {})
    lines = [
        [f'{name} {term}', numbers['mean'], numbers['max'], numbers['last']]
        for name in ('bf16', 'tf32')
        for term, numbers in result.get(name, {}).items()
    ]
    return table(['loss against fp32, relative', 'mean', 'largest', 'last quarter'], lines)


def _methods(rows: Rows) -> list[str]:
    lines = [
        [name[8:], row['result']['its_per_second'], row['result'].get('peak_gib')]
        for name, row in rows.items()
        if name.startswith('method: ') and row['status'] == 'done'
    ]
    return table(['config, as shipped', 'it/s', 'peak GiB'], lines)


def _inference(rows: Rows) -> list[str]:
    lines = []
    for name in ('inference: precisions', 'inference: graphed'):
        for label, numbers in rows.get(name, {}).get('result', {}).items():
            kind = 'graphed, ' if name.endswith('graphed') else ''
            cells = [numbers.get(key) for key in ('ms', 'network_ms', 'agreement')]
            lines.append([kind + label, *cells])
    export = rows.get('inference: ONNX Runtime', {}).get('result')
    if export:
        label = f'ONNX Runtime, {export["provider"]}'
        lines.append([label, None, export['network_ms'], export['agreement']])
    return table(['prediction', 'ms', 'network alone, ms', 'labels as fp32'], lines)


def _facts(rows: Rows) -> list[str]:
    lines = [
        [name, key, fact]
        for name, row in rows.items()
        if name.startswith(('environment', 'guard', 'resume', 'one process'))
        for key, fact in row.get('result', {}).items()
        if not isinstance(fact, Mapping)
    ]
    return table(['row', 'fact', 'value'], lines)


def write_page(rows: Rows, tiny: bool) -> str:
    """The tables of a run in Markdown.

    Args:
        rows: See :class:`benchmarks.gpu.record.Record`.
        tiny: Whether it is a rehearsal, whose numbers mean nothing.

    Returns:
        Text; rows that are missing leave their cells empty.
    """
    about = rows.get('environment', {}).get('result', {})
    goals = [
        [
            goal.what,
            goal.measured(rows),
            goal.good,
            goal.extreme,
            verdict(goal, goal.measured(rows)),
        ]
        for goal in GOALS
    ]
    left = [
        [name, row['status'], row.get('reason')]
        for name, row in rows.items()
        if row['status'] != 'done'
    ]
    lines = [
        f'# GPU benchmark: {about.get("device", "environment not known")}',
        '',
        'A rehearsal at tiny size: its numbers mean nothing.'
        if tiny
        else 'Random weights, synthetic frames.',
        '',
        *table(['goal', 'measured', 'good', 'extreme', 'verdict'], goals),
        *_steps(rows),
        *_losses(rows),
        *_inference(rows),
        *_methods(rows),
        *_facts(rows),
        *table(['not measured', 'status', 'reason'], left),
    ]
    return '\n'.join(lines)
