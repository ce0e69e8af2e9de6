"""What a training has logged, also one that was resumed."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np


def scalars(run_dir: Path) -> list[dict[str, Any]]:
    """Logged values of the newest run in ``run_dir``, one dict per logging interval (empty before the first)."""
    files = sorted(run_dir.glob('*/vis_data/scalars.json'))
    return _read_lines(files[-1]) if files else []


def logged_steps(run_dir: Path) -> int:
    """Steps that the newest run in ``run_dir`` has logged."""
    rows = [row for row in scalars(run_dir) if 'iter' in row or 'step' in row]
    return int(rows[-1].get('iter', rows[-1].get('step', 0))) if rows else 0


def history(run_dir: Path) -> list[dict[str, Any]]:
    """Logged values of a training from its start, put together from the runs that it was resumed in."""
    rows: list[dict[str, Any]] = []
    for file in sorted(run_dir.glob('*/vis_data/scalars.json'), reverse=True):
        older = _read_lines(file)
        first = min((row['step'] for row in rows if 'step' in row), default=math.inf)
        before = [row for row in older if row.get('step', math.inf) < first]
        if rows and not before:  # it began anew
            break
        rows = before + rows
    return rows


def _read_lines(file: Path) -> list[dict[str, Any]]:
    rows = []
    for line in file.read_text().splitlines():
        try:
            rows.append(json.loads(line))
        except json.JSONDecodeError:  # the line that is just being written
            break
    return rows


def last_tenth(rows: Sequence[Mapping[str, Any]], prefixes: tuple[str, ...]) -> dict[str, float]:
    """Medians of logged values over the last tenth of a run, per key with one of the prefixes."""
    keys = sorted({key for row in rows for key in row if key.startswith(prefixes)})
    values = {key: [row[key] for row in rows if key in row] for key in keys}
    return {
        key: round(float(np.median(series[-max(len(series) // 10, 1) :])), 4)
        for key, series in values.items()
    }
