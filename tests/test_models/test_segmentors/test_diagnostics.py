from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from mmseg_ccdistill.domains import DOMAINS
from mmseg_ccdistill.models.segmentors.diagnostics import (
    content_contrast,
    correlation_diagnostics,
    effective_rank,
    largest_class,
    pseudo_label_diagnostics,
    style_diagnostics,
)


def axes(channels: int, indices: list[list[int]]) -> Tensor:
    """Unit vectors along axes, on a grid of one row: ``(1, C, 1, W)`` per list of indices."""
    vectors = F.one_hot(torch.tensor(indices), channels).float()
    return vectors.permute(0, 2, 1).unsqueeze(2)


def test_contrast_of_content() -> None:
    distinct = axes(8, [[0, 1, 2, 3]])
    assert content_contrast(distinct, distinct).item() == pytest.approx(1 - 1 / 4)
    same = axes(8, [[5, 5, 5, 5]])
    assert content_contrast(same, same).item() == pytest.approx(0)  # though every cosine is 1
    swapped = axes(8, [[1, 0, 3, 2]])
    assert content_contrast(distinct, swapped).item() == pytest.approx(-1 / 4)


def test_contrast_is_the_mean_over_all_permuted_positions() -> None:
    generator = torch.Generator().manual_seed(0)
    a, b = F.normalize(torch.randn(2, 2, 6, 2, 3, generator=generator), dim=2)
    cosines = torch.einsum('ncp,ncq->npq', a.flatten(2), b.flatten(2))
    expected = cosines.diagonal(dim1=1, dim2=2).mean() - cosines.mean()
    assert content_contrast(a, b).item() == pytest.approx(expected.item(), abs=1e-6)


@pytest.mark.parametrize('channels', [3, 32])
def test_effective_rank_counts_directions(channels: int) -> None:
    """More positions than channels, and fewer."""
    assert effective_rank(axes(channels, [[0] * 6])).item() == pytest.approx(1, rel=1e-4)
    assert effective_rank(axes(channels, [[0, 1, 2], [2, 1, 0]])).item() == pytest.approx(
        3, rel=1e-4
    )
    # Shares 1/2, 1/4, 1/4: the entropy is 1.5 ln 2.
    assert effective_rank(axes(channels, [[0, 0, 1, 2]])).item() == pytest.approx(2**1.5, rel=1e-4)


@pytest.mark.parametrize('channels', [3, 32])
def test_autocast_does_not_reach_the_rank(channels: int) -> None:
    """Its matrix product in half precision would leave a GPU without eigenvalues."""
    generator = torch.Generator().manual_seed(0)
    embeddings = F.normalize(torch.randn(1, channels, 2, 3, generator=generator), dim=1)
    expected = effective_rank(embeddings)
    with torch.autocast('cpu', dtype=torch.bfloat16):
        assert torch.equal(effective_rank(embeddings), expected)


def test_values_of_the_correlation_maps() -> None:
    e = dict(
        zip(
            DOMAINS,
            (axes(4, [[0, 0]]), axes(4, [[0, 1]]), axes(4, [[0, 0]]), axes(4, [[0, 0]])),
            strict=True,
        )
    )
    log = {key: value.item() for key, value in correlation_diagnostics(e).items()}
    assert {key for key in log if 'loss' in key} == set()
    expected = {
        'cor.illu_source': (0.5, 0.5),
        'cor.illu_target': (1.0, 0.0),
        'cor.in_day': (1.0, 0.0),
        'cor.in_night': (0.5, 0.5),
    }
    for name, (mean, std) in expected.items():
        assert (log[f'{name}_mean'], log[f'{name}_std']) == pytest.approx((mean, std))
    assert (log['cor.contrast_source'], log['cor.contrast_target']) == pytest.approx((0, 0))


@pytest.mark.parametrize(('source', 'target'), [(0.75, -0.25), (-0.25, 0.75)])
def test_each_world_has_a_contrast_of_its_own(source: float, target: float) -> None:
    """One world's night shows the places of its day, the other's shows them swapped."""
    nights = {0.75: [[0, 1, 2, 3]], -0.25: [[1, 0, 3, 2]]}
    day = axes(8, [[0, 1, 2, 3]])
    values = (day, axes(8, nights[source]), day, axes(8, nights[target]))
    log = correlation_diagnostics(dict(zip(DOMAINS, values, strict=True)))
    assert log['cor.contrast_source'].item() == pytest.approx(source)
    assert log['cor.contrast_target'].item() == pytest.approx(target)


def test_style_is_averaged_over_the_batch() -> None:
    log = style_diagnostics({'source': torch.tensor([0.9, 0.5]), 'target': torch.tensor([0.2])})
    assert log['cor.gram_source'].item() == pytest.approx(0.7)
    assert log['cor.gram_target'].item() == pytest.approx(0.2)


def test_shares_of_the_pseudo_labels() -> None:
    labels = torch.tensor([[[0, 0, 0, 5], [255, 255, 255, 255]]])
    log = pseudo_label_diagnostics(labels, 19)
    assert log['pseudo.share'].item() == pytest.approx(0.5)
    assert log['pseudo.largest_class'].item() == pytest.approx(0.75)
    empty = pseudo_label_diagnostics(torch.full((1, 2, 2), 255), 19)
    assert empty['pseudo.share'].item() == empty['pseudo.largest_class'].item() == 0


def test_share_of_the_largest_class() -> None:
    """Eight positions of two images: five of class 2, two of class 0, one of class 1."""
    classes = torch.tensor([[2, 2, 0, 1], [2, 0, 2, 2]])
    logits = F.one_hot(classes, 3).permute(0, 2, 1).unsqueeze(2).float().requires_grad_()
    share = largest_class(logits)
    assert share.item() == 5 / 8 and not share.requires_grad
