from __future__ import annotations

import pytest
import torch

from mmseg_ccdistill.models.losses import strongest_class as module
from mmseg_ccdistill.models.losses.strongest_class import strongest_class


def maps(height: int) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(2, 5, height, 7, generator=generator, dtype=torch.float64)
    return logits, torch.randn(1, 5, 1, 1, generator=generator, dtype=torch.float64)


@pytest.mark.parametrize('height', [1, 3, 4, 9])
def test_it_is_the_largest_weighted_probability(
    height: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    logits, log_weight = maps(height)
    weighted = (log_weight.exp() * logits.softmax(1)).argmax(1)
    for rows in (64, 3):  # in one strip, and in several
        monkeypatch.setattr(module, 'STRIP_ROWS', rows)
        found = strongest_class(logits, log_weight)
        assert torch.equal(found, weighted) and found.dtype == torch.int64
        assert torch.equal(strongest_class(logits), logits.argmax(1))
    assert not torch.equal(weighted, logits.argmax(1))


@pytest.mark.parametrize('layout', [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize('rows', [64, 3])
def test_only_allowed_classes_win_and_the_first_of_equal_ones(
    layout: torch.memory_format, rows: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Scores of few values tie at most pixels; of all three orders of work each finds the first of the largest."""
    monkeypatch.setattr(module, 'STRIP_ROWS', rows)
    generator = torch.Generator().manual_seed(0)
    logits = torch.randint(0, 3, (2, 5, 9, 7), generator=generator).float()
    log_weight = torch.tensor([0.0, 1.0, 0.0, -1.0, 1.0]).view(1, 5, 1, 1)
    allowed = torch.rand(2, 5, 9, 7, generator=generator) < 0.5
    allowed[:, :, 0, 0] = False
    found = strongest_class(logits.to(memory_format=layout), log_weight, allowed)
    for b, y, x in torch.cartesian_prod(torch.arange(2), torch.arange(9), torch.arange(7)).tolist():
        best, winner = float('-inf'), 0
        for k in range(5):
            score = float(logits[b, k, y, x] + log_weight[0, k, 0, 0])
            if allowed[b, k, y, x] and score > best:
                best, winner = score, k
        assert found[b, y, x] == winner
    assert (found[:, 0, 0] == 0).all() and found.dtype == torch.int64


def test_more_classes_than_a_byte_has_numbers() -> None:
    logits = torch.zeros(1, 300, 2, 2)
    logits[0, 299, 1, 1] = 1
    assert strongest_class(logits).tolist() == [[[0, 0], [0, 299]]]
