"""The moving average: its values, its lag, what is copied, and that it goes on exactly."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from mmseg_ccdistill.models.segmentors.ema_teacher import EMATeacher
from mmseg_ccdistill.models.segmentors.frozen_network import freeze


def of_one_number() -> nn.Module:
    module = nn.Module()
    module.theta = nn.Parameter(torch.zeros((), dtype=torch.double))
    return module


def average(states: int, lag: int, power: int = 2) -> float:
    """The teacher after a student that was t^2, or another power, in states t = 0, 1, ..."""
    student, teacher, ema = of_one_number(), of_one_number(), EMATeacher(lag)
    freeze(teacher)
    teacher.theta.fill_(1e9)  # whatever it was built with does not count
    for t in range(states):
        student.theta.data.fill_(float(t) ** power)
        ema.update(student, teacher)
    return teacher.theta.item()


@pytest.mark.parametrize(
    ('states', 'lag', 'expected'),
    [
        # alpha 0.99 and 0.999 are lags of 99 and 999
        (1, 999, 0.0),
        (11, 99, 35.0),
        (11, 999, 35.0),
        (101, 999, 3350.0),
        (101, 99, 3350.665),
        (601, 999, 120100.0),
        (601, 99, 260857.961134960),
        (1501, 999, 846455.609967504),
        (1501, 99, 1972700.994923832),
    ],
)
def test_values(states: int, lag: int, expected: float) -> None:
    assert average(states, lag) == pytest.approx(expected, rel=1e-12, abs=1e-12)


@pytest.mark.parametrize(
    ('iterations', 'lag', 'behind'),
    [(600, 999, 299.5), (600, 99, 98.7), (600, 19, 19.0), (600, 9, 9.0)],
)
def test_how_far_it_is_behind_a_straight_line(iterations: int, lag: int, behind: float) -> None:
    """The usual 0.999 is behind by half of a run of 600: the plain mean of all states."""
    assert iterations - 1 - average(iterations, lag, 1) == pytest.approx(behind, abs=0.05)


def test_no_lag_is_a_copy() -> None:
    assert average(11, 0) == 100.0


@pytest.mark.parametrize(('lag', 'alpha'), [(999, 0.999), (19, 0.95), (9, 0.9), (0, 0.0)])
def test_lag_in_iterations(lag: int, alpha: float) -> None:
    ema = EMATeacher(lag)
    assert ema.alpha == pytest.approx(alpha)
    ema.set_length(7)
    assert ema.alpha == pytest.approx(alpha)


def test_lag_as_a_share_of_the_run() -> None:
    """A straight line is followed at the given distance."""
    ema = EMATeacher(0.025)
    with pytest.raises(ValueError) as caught:
        ema.update(of_one_number(), of_one_number())
    assert str(caught.value) == (
        'EMATeacher: lag=0.025 is a share of the run, whose length is not known: add '
        "dict(type='DeferredInfoHook') as default_hooks.runtime_info, or give lag in iterations, e.g. 15."
    )
    ema.set_length(800)
    assert ema.alpha == pytest.approx(20 / 21)
    student, teacher = of_one_number(), of_one_number()
    freeze(teacher)
    for t in range(800):
        student.theta.data.fill_(float(t))
        ema.update(student, teacher)
    assert student.theta.item() - teacher.theta.item() == pytest.approx(20.0, abs=1e-6)


@pytest.mark.parametrize('lag', [-1, 1.0, 0.0, 1.5, True, '15', None])
def test_a_lag_that_is_neither_is_refused(lag: object) -> None:
    with pytest.raises(ValueError) as caught:
        EMATeacher(lag)  # type: ignore[arg-type]
    assert str(caught.value) == (
        'EMATeacher: expected lag as iterations (an integer from 0 on) or as a share of the run (a float between 0 '
        f'and 1, e.g. 0.025), got {lag!r}.'
    )


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Conv2d(4, 2, 1))


def trained(net: nn.Module, seed: int) -> None:
    torch.manual_seed(seed)
    net.train()(torch.randn(2, 3, 8, 8) * 3 + 1)
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.add_(torch.randn_like(parameter))


def test_buffers_are_those_of_the_student() -> None:
    student, teacher, ema = network(), network(), EMATeacher(9)
    freeze(teacher)
    for seed in range(3):
        trained(student, seed)
        ema.update(student, teacher)
    ours, theirs = teacher.state_dict(), student.state_dict()
    assert list(sorted(ours)) == list(sorted(theirs))
    for name in ('1.running_mean', '1.running_var', '1.num_batches_tracked'):
        assert torch.equal(ours[name], theirs[name]), name
    assert not torch.equal(ours['0.weight'], theirs['0.weight'])
    assert not any(value.requires_grad for value in teacher.state_dict(keep_vars=True).values())


def test_it_goes_on_exactly_from_its_state_dict() -> None:
    def run(seeds: range, student: nn.Module, teacher: nn.Module, ema: EMATeacher) -> None:
        for seed in seeds:
            trained(student, seed)
            ema.update(student, teacher)

    whole = (network(), network(), EMATeacher(3))
    freeze(whole[1])
    run(range(4), *whole)
    saved = copy.deepcopy([module.state_dict() for module in whole])
    run(range(4, 8), *whole)
    resumed = (network(), network(), EMATeacher(3))
    freeze(resumed[1])
    for module, state in zip(resumed, saved, strict=True):
        module.load_state_dict(state)
    run(range(4, 8), *resumed)
    for first, second in zip(whole, resumed, strict=True):
        ours, theirs = first.state_dict(), second.state_dict()
        assert all(torch.equal(value, theirs[name]) for name, value in ours.items())
    assert whole[2].state_dict() == {'updates': torch.tensor(8)}


def test_no_value_is_read() -> None:
    """On the meta device reading one raises."""
    student, teacher, ema = (module.to('meta') for module in (network(), network(), EMATeacher(9)))
    freeze(teacher)
    ema.update(student, teacher)
