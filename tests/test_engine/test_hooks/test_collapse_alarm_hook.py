"""The alarms ring where docs/training.md says that trouble begins."""

from __future__ import annotations

import inspect
import re
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from mmseg_ccdistill.engine.hooks import CollapseAlarmHook

DOCS = Path(__file__).resolve().parents[3] / 'docs/training.md'


def warned(hook: CollapseAlarmHook, key: str, value: float, iteration: int = 500) -> list[str]:
    said: list[str] = []
    runner = SimpleNamespace(iter=iteration, logger=SimpleNamespace(warning=said.append))
    hook.after_train_iter(runner, 0, None, {key: torch.tensor(value, dtype=torch.float64)})
    return said


@pytest.mark.parametrize(
    ('key', 'value', 'rings'),
    [
        ('pseudo.largest_class', 0.951, True),
        ('pseudo.largest_class', 0.95, False),
        ('pseudo.share', 0.049, True),
        ('pseudo.share', 0.05, False),
        ('cor.in_day_mean', 0.851, True),
        ('cor.in_day_mean', 0.85, False),
        ('cor.in_day_mean', -0.851, True),
        ('cor.in_day_mean', -0.85, False),
        ('cor.in_night_mean', -0.96, True),
        ('cor.in_night_mean', 0.99, True),
        ('cor.contrast_source', 0.019, True),
        ('cor.contrast_source', 0.02, False),
        ('cor.contrast_target', 0.001, True),
        ('cor.contrast_target', 0.3, False),
        ('cor.effective_rank', 1.02, True),
        ('cor.effective_rank', 2.8, True),
        ('cor.effective_rank', 4.0, False),
        ('cor.effective_rank', 6.9, False),
        ('cor.illu_source_mean', 0.999, False),
    ],
)
def test_limits(key: str, value: float, rings: bool) -> None:
    said = warned(CollapseAlarmHook(), key, value)
    assert [text.startswith(f'iteration 501: {key} is {value:.3f}: ') for text in said] == [
        True
    ] * rings


@pytest.mark.parametrize(('iteration', 'rings'), [(199, False), (200, True), (201, True)])
def test_the_first_iterations_are_passed_over(iteration: int, rings: bool) -> None:
    """200 iterations, counted from 0 by the runner."""
    assert bool(warned(CollapseAlarmHook(), 'cor.in_day_mean', -0.96, iteration)) == rings


def test_an_alarm_rings_again_after_the_value_has_come_back() -> None:
    hook = CollapseAlarmHook()
    rings = [len(warned(hook, 'cor.in_day_mean', value)) for value in (-0.9, -0.9, 0.5, 0.9, -0.9)]
    assert rings == [1, 0, 0, 1, 0]


def test_the_docs_name_the_limits() -> None:
    rows = [line.split('|')[1:-1] for line in DOCS.read_text().splitlines() if line.startswith('|')]
    trouble = {
        key: cells[2]
        for cells in rows
        if len(cells) == 3
        for key in re.findall(r'`([\w.]+)`', cells[0])
    }
    defaults = {
        name: parameter.default
        for name, parameter in inspect.signature(CollapseAlarmHook).parameters.items()
    }
    expected = {
        'cor.in_day_mean': f'beyond ±{defaults["correlation"]}',
        'cor.in_night_mean': f'beyond ±{defaults["correlation"]}',
        'cor.contrast_source': f'below {defaults["contrast"]}',
        'cor.contrast_target': f'below {defaults["contrast"]}',
        'cor.effective_rank': f'below {defaults["rank"]:g}',
        'pseudo.share': f'below {defaults["share"]}',
        'pseudo.largest_class': f'above {defaults["largest_class"]}',
    }
    assert {key for alarm in CollapseAlarmHook().alarms for key in alarm.keys} == set(expected)
    for key, limit in expected.items():
        assert trouble[key].strip().startswith(limit), key
    assert f'from iteration {defaults["begin"]} on' in DOCS.read_text()
