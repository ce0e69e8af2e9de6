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
