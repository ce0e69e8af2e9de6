from __future__ import annotations

import math

import pytest
import torch
from torch.nn import functional as F

from mmseg_ccdistill.models.losses import js_divergence


def axis(index: int, channels: int = 4) -> torch.Tensor:
    """Unit vector along one channel, ``(1, C, 1, 1)``."""
    return F.one_hot(torch.tensor(index), channels).double().view(1, channels, 1, 1)


def unit_maps(*shape: int, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return F.normalize(torch.randn(*shape, generator=generator, dtype=torch.float64), dim=1)


def js_by_definition(e_a: torch.Tensor, e_b: torch.Tensor, tau: float) -> torch.Tensor:
    """Halves of two KL divergences to the mixture, summed over channels: ``(B, H, W)``."""
    p, q = (e_a / tau).softmax(1), (e_b / tau).softmax(1)
    m = (p + q) / 2
    return ((p * (p / m).log()).sum(1) + (q * (q / m).log()).sum(1)) / 2


def test_two_distributions_with_a_known_divergence() -> None:
    p = torch.tensor([0.7, 0.2, 0.1]).view(1, 3, 1, 1)
    q = torch.tensor([0.1, 0.3, 0.6]).view(1, 3, 1, 1)
    # softmax(ln p) = p
    assert js_divergence(p.log(), q.log()).item() == pytest.approx(0.2306455, abs=1e-6)
    # Two other readings of torch's `kl_div`, which takes log Q first: swapped, and averaged over channels.
    m = (p + q) / 2
    swapped = sum(F.kl_div(x.log(), m, reduction='batchmean') for x in (p, q)) / 2
    averaged = sum(F.kl_div(m.log(), x, reduction='mean') for x in (p, q)) / 2
    assert swapped.item() == pytest.approx(0.2953476, abs=1e-6)
    assert averaged.item() == pytest.approx(0.0768818, abs=1e-6)


@pytest.mark.parametrize('dtype', [torch.float32, torch.float64])
def test_disjoint_distributions_reach_ln2(dtype: torch.dtype) -> None:
    for tau in (0.01, 1e-4):
        js = js_divergence(axis(0).to(dtype), axis(1).to(dtype), tau=tau)
        assert js.item() == pytest.approx(0.6931472, abs=1e-7)


def test_close_embeddings_keep_their_divergence_in_float32() -> None:
    """At cos 0.9996 it is 4e-7, the difference of two entropies of 5.5."""
    e_a = unit_maps(2, 256, 16, 16)
    e_b = F.normalize(e_a + 0.03 * unit_maps(2, 256, 16, 16, seed=1), dim=1)
    expected = js_by_definition(e_a, e_b, 1.0).mean().item()
    assert expected == pytest.approx(4.4e-7, rel=0.05)
    single = js_divergence(e_a.float(), e_b.float(), reduction='mean')
    assert single.item() == pytest.approx(expected, rel=1e-2)


def test_orthogonal_unit_vectors() -> None:
    assert js_divergence(axis(0), axis(1)).item() == pytest.approx(0.0721408, abs=1e-7)
    vector, other = unit_maps(1, 256, 1, 1), unit_maps(1, 256, 1, 1, seed=1)
    other = F.normalize(other - (vector * other).sum() * vector, dim=1)
    # (1 - cos) / (4 C tau^2)
    assert js_divergence(vector, other).item() == pytest.approx(1 / (4 * 256), rel=2e-2)
    assert js_divergence(vector, -vector).item() == pytest.approx(1.94e-3, rel=1e-2)


@pytest.mark.parametrize(
    ('tau', 'expected'), [(1.0, 0.249 / 256), (0.1, 0.0885), (0.07, 0.166), (0.01, 0.684)]
)
def test_random_unit_vectors(tau: float, expected: float) -> None:
    js = js_divergence(unit_maps(2, 256, 16, 16), unit_maps(2, 256, 16, 16, seed=1), tau, 'mean')
    assert js.item() == pytest.approx(expected, rel=2e-2)


def test_reductions() -> None:
    e_a, e_b = unit_maps(3, 8, 4, 5), unit_maps(3, 8, 4, 5, seed=1)
    js = js_divergence(e_a, e_b, reduction='none')
    assert js.shape == (3, 4, 5)
    torch.testing.assert_close(js, js_by_definition(e_a, e_b, 1.0))
    assert js_divergence(e_a, e_b, reduction='mean').item() == pytest.approx(js.sum().item() / 60)
    assert js_divergence(e_a, e_b).item() == pytest.approx(js.sum().item() / 3)


def test_random_maps_on_the_papers_grid() -> None:
    js = js_divergence(unit_maps(2, 256, 16, 16), unit_maps(2, 256, 16, 16, seed=1))
    assert js.item() == pytest.approx(0.249, abs=2e-3)


@pytest.mark.parametrize('tau', [1.0, 0.1, 0.01])
def test_agrees_with_torch_kl_div(tau: float) -> None:
    e_a, e_b = unit_maps(2, 16, 3, 3), unit_maps(2, 16, 3, 3, seed=1)
    p, q = (e_a / tau).softmax(1), (e_b / tau).softmax(1)
    log_m = ((p + q) / 2).log()
    expected = sum(F.kl_div(log_m, x, reduction='batchmean') for x in (p, q)) / 2
    assert js_divergence(e_a, e_b, tau).item() == pytest.approx(expected.item(), rel=1e-9)


def test_single_precision_keeps_small_divergences() -> None:
    """cos = 0.99 on 256 channels: about 1e-5, far below the entropies."""
    e_a = unit_maps(1, 256, 8, 8)
    e_b = F.normalize(e_a + 0.142 * unit_maps(1, 256, 8, 8, seed=1), dim=1)
    exact = js_by_definition(e_a, e_b, 1.0)
    js = js_divergence(e_a.float(), e_b.float(), reduction='none')
    assert js.dtype == torch.float32
    torch.testing.assert_close(js.double(), exact, rtol=5e-3, atol=0)


@pytest.mark.parametrize(
    ('tau', 'reduction', 'expected'),
    [(1.0, 'mean', 2.7e-6), (1.0, 'batchmean', 6.9e-4), (0.1, 'mean', 2.9e-4)],
)
def test_gradient_that_reaches_the_features(tau: float, reduction: str, expected: float) -> None:
    """Why a mean over positions at tau 1 is a no-op: its gradient is 256 times smaller."""
    maps = [
        torch.randn(2, 256, 16, 16, generator=torch.Generator().manual_seed(seed)).requires_grad_()
        for seed in range(2)
    ]
    js_divergence(*(F.normalize(x, dim=1) for x in maps), tau, reduction).backward()
    for x in maps:
        assert x.grad is not None and x.grad.norm().item() == pytest.approx(expected, rel=2e-2)


def test_bounds_symmetry_and_identity() -> None:
    for tau in (1.0, 0.05, 1e-3):
        e_a, e_b = unit_maps(2, 32, 4, 4).float(), unit_maps(2, 32, 4, 4, seed=1).float()
        js = js_divergence(e_a, e_b, tau, 'none')
        assert js.min() >= 0 and js.max() <= math.log(2) + 1e-6
        torch.testing.assert_close(js, js_divergence(e_b, e_a, tau, 'none'))
        assert not js_divergence(e_a, e_a, tau, 'none').any()


def test_gradient() -> None:
    e_a, e_b = unit_maps(2, 5, 2, 3), unit_maps(2, 5, 2, 3, seed=1)
    e_b[:, :, 0, 0] = e_a[:, :, 0, 0]  # the minimum is a point like any other
    e_a.requires_grad_(), e_b.requires_grad_()
    for tau, reduction in ((1.0, 'batchmean'), (0.1, 'none'), (0.01, 'mean')):
        assert torch.autograd.gradcheck(
            lambda a, b, t=tau, r=reduction: js_divergence(a, b, t, r), (e_a, e_b)
        )


def test_mixed_precision(half_dtype: torch.dtype) -> None:
    e_a, e_b = unit_maps(2, 64, 4, 4).to(half_dtype), unit_maps(2, 64, 4, 4, seed=1).to(half_dtype)
    exact = js_by_definition(e_a.double(), e_b.double(), 1.0).mean().item()
    with torch.autocast('cpu', dtype=half_dtype):
        js = js_divergence(e_a, e_b, reduction='mean')
    assert js.dtype == torch.float32
    assert js.item() == pytest.approx(exact, rel=1e-4)


def test_degenerate_embeddings_have_finite_gradients() -> None:
    e = torch.zeros(1, 4, 1, 2, requires_grad=True)
    js = js_divergence(e, axis(0).float().expand(1, 4, 1, 2), tau=0.01)
    js.backward()
    assert js.isfinite() and e.grad is not None and e.grad.isfinite().all()


@pytest.mark.parametrize(
    ('kwargs', 'message'),
    [
        (dict(e_b=torch.zeros(1, 4, 2, 3)), 'one shape'),
        (dict(tau=0.0), 'tau'),
        (dict(reduction='sum'), 'reduction'),
    ],
)
def test_bad_arguments_are_refused(kwargs: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        js_divergence(**{'e_a': torch.zeros(1, 4, 2, 2), 'e_b': torch.zeros(1, 4, 2, 2), **kwargs})
