from __future__ import annotations

import pytest
import torch

from mmseg_ccdistill.models.losses import (
    CITYSCAPES_CLASSES,
    CITYSCAPES_FREQUENCIES,
    class_balance_weights,
)
from mmseg_ccdistill.models.losses.class_weights import resolve_class_weight

W_005 = [
    0.9041, 0.9542, 0.9175, 1.0162, 1.0081, 0.9988, 1.0482, 1.0210, 0.9275, 1.0004,
    0.9658, 0.9990, 1.0601, 0.9504, 1.0411, 1.0447, 1.0450, 1.0689, 1.0290,
]  # fmt: skip
W_016 = [
    0.6932, 0.8536, 0.7359, 1.0519, 1.0259, 0.9961, 1.1541, 1.0673, 0.7679, 1.0013,
    0.8905, 0.9967, 1.1924, 0.8412, 1.1317, 1.1431, 1.1440, 1.2204, 1.0928,
]  # fmt: skip


def test_frequencies_of_cityscapes() -> None:
    frequencies = torch.tensor(CITYSCAPES_FREQUENCIES, dtype=torch.float64)
    assert frequencies.sum().item() == pytest.approx(1, abs=1e-6)
    assert frequencies.log().mean().item() == pytest.approx(-4.444568, abs=1e-6)
    assert frequencies.log().std().item() == pytest.approx(1.797777, abs=1e-6)


@pytest.mark.parametrize(('std', 'expected'), [(0.05, W_005), (0.16, W_016)])
def test_weights_of_cityscapes(std: float, expected: list[float]) -> None:
    weights = class_balance_weights(CITYSCAPES_FREQUENCIES, std)
    assert weights.dtype == torch.float32
    assert weights.tolist() == pytest.approx(expected, abs=5.1e-5)
    assert weights.mean().item() == pytest.approx(1, abs=1e-6)
    assert weights.std(unbiased=True).item() == pytest.approx(std, abs=1e-6)


def test_scale_of_the_frequencies_does_not_matter() -> None:
    counts = torch.tensor(CITYSCAPES_FREQUENCIES, dtype=torch.float64) * 1e9
    weights = class_balance_weights(counts)
    assert weights.dtype == torch.float64
    assert weights.tolist() == pytest.approx(W_005, abs=5.1e-5)


def test_equal_frequencies_give_ones() -> None:
    assert class_balance_weights([0.25] * 4).tolist() == [1, 1, 1, 1]


@pytest.mark.parametrize(
    ('frequencies', 'message'),
    [([0.5, 0.0, 0.5], r'classes \[1\]'), ([1.0], 'at least two'), ([1.0, -1.0], r'\[1\]')],
)
def test_bad_frequencies_are_refused(frequencies: list[float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        class_balance_weights(frequencies)


def test_what_a_config_may_say() -> None:
    assert resolve_class_weight(None, 7) is None
    assert resolve_class_weight([1, 2.5]).tolist() == [1, 2.5]
    assert resolve_class_weight('balanced', 19).tolist() == pytest.approx(W_005, abs=5.1e-5)


@pytest.mark.parametrize(
    ('class_weight', 'num_classes', 'message'),
    [
        ('median', 19, "'balanced'"),
        ('balanced', 5, '19 weights but there are 5 classes'),
        ([1.0, 2.0], 3, '2 weights but there are 3 classes'),
        ([1.0, 0.0], None, 'positive'),
        ([1.0, float('nan')], None, 'positive'),
    ],
)
def test_bad_weights_are_refused(class_weight, num_classes, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        resolve_class_weight(class_weight, num_classes)


def test_balanced_weights_go_by_name() -> None:
    """An order of one's own moves the weights with the names; a choice has mean 1 among itself."""
    weights = resolve_class_weight('balanced')
    assert weights is not None
    moved = resolve_class_weight('balanced', classes=CITYSCAPES_CLASSES[::-1])
    assert moved is not None and torch.equal(moved, weights.flip(0))
    chosen = resolve_class_weight('balanced', classes=('bus', 'road', 'sky'))
    ids = [CITYSCAPES_CLASSES.index(name) for name in ('bus', 'road', 'sky')]
    expected = class_balance_weights([CITYSCAPES_FREQUENCIES[k] for k in ids])
    assert chosen is not None and torch.equal(chosen, expected)
    with pytest.raises(ValueError, match=r"not of \['lane'\]: give class_weight as a list"):
        resolve_class_weight('balanced', classes=('road', 'lane'))
