"""A run that was made longer than its schedule."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from resumed_run import HALF, STEPS, WHOLE, Run, poly, warm_up, warnings


def test_a_longer_run_whose_schedule_ends_at_zero_is_refused(tmp_path: Path) -> None:
    Run(tmp_path, HALF, [warm_up(2), poly(HALF, 2)])
    with pytest.raises(ValueError) as raised:
        Run(tmp_path, WHOLE, [warm_up(2), poly(HALF, 2)], resume=True)
    assert str(raised.value) == (
        'train_cfg.max_iters is 12, but param_scheduler.1.end is 6, where the learning rate ends at 0: iterations 7 to '
        '12 would train nothing; move the end of the schedule, too: --cfg-options train_cfg.max_iters=12 '
        'param_scheduler.1.end=12'
    )


def test_a_longer_run_at_the_last_rate_is_told(tmp_path: Path, log: Any) -> None:
    Run(tmp_path, HALF, poly(HALF, eta_min=0.01))
    resumed = Run(tmp_path, WHOLE, poly(HALF, eta_min=0.01), resume=True)
    assert resumed.rate(WHOLE - 1) == pytest.approx(0.01)
    (told,) = [text for text in warnings(log) if 'max_iters' in text]
    assert told == (
        'train_cfg.max_iters is 12, but param_scheduler.end is 6: the iterations after it keep its last learning rate, '
        '0.01; to move the end of the schedule, too: --cfg-options train_cfg.max_iters=12 param_scheduler.end=12'
    )


@pytest.mark.parametrize(
    'schedule', [[warm_up(3)], None, [dict(STEPS, milestones=[3])], [poly(WHOLE)]]
)
def test_longer_runs_that_train_on_are_not_told(tmp_path: Path, log: Any, schedule: Any) -> None:
    Run(tmp_path, HALF, schedule)
    Run(tmp_path, WHOLE, schedule, resume=True)
    assert [text for text in warnings(log) if 'max_iters' in text] == []
