from __future__ import annotations

import pytest

from mmseg_ccdistill.reports.seed_statistics import (
    Estimate,
    closed_share,
    differences_by_seed,
    paired_difference,
    spread,
)

# Additional hours of sleep of ten patients under two drugs: Student, "The probable error of a mean", Biometrika 1908.
DEXTRO = dict(enumerate((0.7, -1.6, -0.2, -1.2, -0.1, 3.4, 3.7, 0.8, 0.0, 2.0)))
LAEVO = dict(enumerate((1.9, 0.8, 1.1, 0.1, -0.1, 4.4, 5.5, 1.6, 4.6, 3.4)))


def by_seed(values: dict[int, float]) -> dict[str, float]:
    return {str(key): value for key, value in values.items()}


def test_paired_interval_of_students_sleep_data() -> None:
    """R's documented result of t.test(extra ~ group, data = sleep, paired = TRUE): 0.7001142 to 2.4598858."""
    found = paired_difference(by_seed(LAEVO), by_seed(DEXTRO))
    assert found is not None and found.n == 10 and found.interval is not None
    assert found.value == pytest.approx(1.58)
    assert found.interval == pytest.approx((0.7001142, 2.4598858), abs=1e-6)


def test_spread_by_hand() -> None:
    """Deviations -2, 0, 2: sd 2; t of two degrees of freedom is 4.302653; 4.302653 · 2 / √3 = 4.968275."""
    found = spread([10.0, 12.0, 14.0])
    assert (found.mean.value, found.sd, found.low, found.high) == (12.0, 2.0, 10.0, 14.0)
    assert found.mean.interval == pytest.approx((12 - 4.968275, 12 + 4.968275), abs=1e-5)


def test_one_seed_has_no_interval() -> None:
    assert spread([7.0]).mean == Estimate(7.0, 1) and spread([7.0]).sd is None
    assert spread([7.0]).mean.interval is None
    assert paired_difference({'0': 3.0}, {'0': 1.0}) == Estimate(2.0, 1)


def test_only_common_seeds_are_paired() -> None:
    found = paired_difference({'0': 5.0, '1': 7.0, '9': 100.0}, {'1': 1.0, '0': 1.0, '3': -50.0})
    assert found is not None and (found.value, found.n) == (5.0, 2)
    assert paired_difference({'0': 1.0}, {'1': 1.0}) is None


def test_differences_are_of_common_seeds_alone() -> None:
    """The mean difference of two rows is the mean of what stands here."""
    row, reference = {'2': 7.0, '0': 5.0, '9': 100.0}, {'0': 1.0, '2': 4.0, '3': -50.0}
    assert differences_by_seed(row, reference) == {'0': 4.0, '2': 3.0}
    assert paired_difference(row, reference) == spread([4.0, 3.0]).mean


def test_closed_share_by_hand() -> None:
    """Means 10 and 20: share 0.5. Deviations 6-5, 10-10, 14-15: sd 1. 4.302653 / √3 / 20 = 0.124207."""
    lower = {'0': 1.0, '1': 2.0, '2': 3.0}
    upper = {'0': 11.0, '1': 22.0, '2': 33.0}
    row = {'0': 7.0, '1': 12.0, '2': 17.0}
    found = closed_share(row, lower, upper)
    assert found is not None and (found.value, found.n) == (0.5, 3)
    assert found.half_width == pytest.approx(0.124207, abs=1e-6)
    half_way = {seed: (lower[seed] + upper[seed]) / 2 for seed in lower}
    exact = closed_share(half_way, lower, upper)
    assert exact is not None and exact.value == 0.5 and exact.half_width == pytest.approx(0)


def test_there_is_no_share_of_no_gap() -> None:
    same = {'0': 4.0, '1': 5.0}
    assert closed_share(same, same, same) is None
    assert closed_share(same, {'0': 9.0, '1': 9.0}, same) is None
    assert closed_share(same, {'7': 1.0}, same) is None
