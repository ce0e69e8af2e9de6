from __future__ import annotations

import cv2
import pytest
import torch

from benchmarks.timing import Times, print_ratios, time_interleaved


class Clock:
    """Time that passes only when a callable says so."""

    def __init__(self) -> None:
        self.now = 0.0
        self.calls: list[str] = []

    def __call__(self) -> float:
        return self.now

    def task(self, name: str, *seconds: float):
        durations = iter(seconds)

        def run() -> None:
            self.calls.append(name)
            self.now += next(durations)

        return run


def test_rounds_are_interleaved_and_the_warm_up_is_not_counted() -> None:
    clock = Clock()
    tasks = {'a': clock.task('a', 99, 1, 2, 3), 'b': clock.task('b', 99, 4, 4, 6)}
    times = time_interleaved(tasks, rounds=3, warmup=1, clock=clock)
    assert clock.calls == ['a', 'b'] * 4
    assert times.seconds == {'a': [1, 2, 3], 'b': [4, 4, 6]}


def test_ratio_is_that_of_the_medians_with_quartiles_over_rounds() -> None:
    times = Times({'a': [1, 2, 3, 8, 4], 'b': [4, 4, 6, 8, 2]})
    assert times.median('a') == 3 and times.median('b') == 4
    ratio = times.ratio('a', 'b')  # single rounds: 0.25, 0.5, 0.5, 1, 2
    assert (ratio.value, ratio.low, ratio.high) == (0.75, 0.5, 1.0)
    assert str(ratio) == '0.750 (0.500-1.000)'


def test_table_shows_both_times_and_their_ratio(capsys: pytest.CaptureFixture) -> None:
    print_ratios(Times({'a': [0.001] * 2, 'b': [0.004] * 2}), [('a', 'b')], 'title')
    printed = capsys.readouterr().out
    assert all(text in printed for text in ('title', '1.0', '4.0', '0.250', '0.250-0.250'))


def test_runs_on_one_thread_and_restores_the_settings() -> None:
    torch_before, cv2_before = torch.get_num_threads(), cv2.getNumThreads()
    seen: list[int] = []
    torch.set_num_threads(2)
    try:
        time_interleaved({'a': lambda: seen.append(torch.get_num_threads())}, rounds=2)
        assert set(seen) == {1} and torch.get_num_threads() == 2
        assert cv2.getNumThreads() == cv2_before
    finally:
        torch.set_num_threads(torch_before)


@pytest.mark.parametrize('kwargs', [dict(rounds=1), dict(warmup=-1), dict(callables={})])
def test_too_little_to_time_is_refused(kwargs: dict) -> None:
    with pytest.raises(ValueError, match='at least one callable'):
        time_interleaved(**{'callables': {'a': lambda: None}, **kwargs})
