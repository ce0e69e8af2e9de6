"""Learning rates are those of the closed forms."""

from __future__ import annotations

import pytest

from mmseg_ccdistill.runtime.learning_rates import learning_rates


def test_polynomial_decay() -> None:
    poly = dict(type='PolyLR', power=0.9, eta_min=0.0, begin=0, end=50000, by_epoch=False)
    # lr (1 - i / (end - 1)) ** 0.9
    expected = [2.5e-4 * (1 - i / 49999) ** 0.9 for i in (0, 25000, 49999)]
    found = learning_rates(2.5e-4, [poly], (0, 25000, 49999))
    assert found == pytest.approx(expected, rel=1e-9, abs=1e-12)


def test_a_linear_warm_up_before_the_decay() -> None:
    rows = [
        dict(type='LinearLR', start_factor=0.1, begin=0, end=11, by_epoch=False),
        dict(type='PolyLR', power=1.0, eta_min=0.0, begin=11, end=112, by_epoch=False),
    ]
    found = learning_rates(1.0, rows, (0, 5, 10, 11, 61, 111))
    assert found == pytest.approx([0.1, 0.55, 1.0, 1.0, 0.5, 0.0], rel=1e-9, abs=1e-12)


def test_without_a_schedule_the_rate_stays() -> None:
    assert learning_rates(0.3, [], (0, 7)) == [0.3, 0.3]


def test_epochs_are_refused() -> None:
    with pytest.raises(ValueError, match='by epochs'):
        learning_rates(0.3, [dict(type='PolyLR', by_epoch=True)], (0,))
