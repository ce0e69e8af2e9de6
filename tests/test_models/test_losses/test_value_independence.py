"""Nothing in a step waits for a value: the meta device has none, so reading one raises there."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from mmseg_ccdistill.domains import DOMAINS
from mmseg_ccdistill.models.losses import CDCLoss, CDSLoss, StaticLoss, WeightedCrossEntropyLoss
from mmseg_ccdistill.models.necks import ProjectionHead


def meta(*shape: int) -> Tensor:
    return torch.empty(*shape, device='meta', requires_grad=True)


def meta_labels() -> Tensor:
    return torch.empty(2, 32, 32, device='meta', dtype=torch.long)


def test_the_check_catches_what_it_is_for() -> None:
    logits, labels = meta(2, 19, 32, 32), meta_labels()
    with pytest.raises((RuntimeError, NotImplementedError)):
        logits.permute(0, 2, 3, 1)[labels != 255].sum()
    with pytest.raises((RuntimeError, NotImplementedError)):
        logits.sum().item()


@pytest.mark.parametrize('mode', [None, 'standardize'])
def test_distillation(mode: str | None) -> None:
    head = ProjectionHead(64, out_channels=16, embedding_norm=mode).to('meta')
    features = {domain: meta(2, 64, 4, 4) for domain in DOMAINS}
    terms = CDCLoss()({domain: head(f) for domain, f in features.items()})
    terms.update(CDSLoss()(features))
    sum(terms.values()).backward()
    assert all(f.grad is not None and f.grad.shape == f.shape for f in features.values())


@pytest.mark.parametrize('neighborhood', [True, False])
@pytest.mark.parametrize('static_classes', [range(11), [0, 2, 3, 8]])
def test_pseudo_labels_and_static_loss(neighborhood: bool, static_classes) -> None:
    loss = StaticLoss(neighborhood=neighborhood, static_classes=static_classes).to('meta')
    blended = StaticLoss(blend=(0.8, 0.2, 0.4), static_classes=static_classes).to('meta')
    day, night = meta(2, 19, 32, 32), meta(2, 19, 32, 32)
    assert blended.pseudo_labels(day, night).shape == (2, 32, 32)
    loss(night, loss.pseudo_labels(day)).backward()
    assert night.grad is not None and day.grad is None


@pytest.mark.parametrize('weighted', [False, True])
def test_cross_entropy(weighted: bool) -> None:
    logits = meta(2, 19, 32, 32)
    weight = torch.empty(2, 32, 32, device='meta') if weighted else None
    WeightedCrossEntropyLoss('balanced').to('meta')(logits, meta_labels(), weight).backward()
    assert logits.grad is not None
