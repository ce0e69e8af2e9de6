from __future__ import annotations

import pytest
import torch
from mmseg.registry import MODELS
from torch import Tensor
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

from mmseg_ccdistill.domains import DOMAINS
from mmseg_ccdistill.models.losses import CDSLoss, gram_cosine

#: More channels than positions, and the other way round.
SHAPES = [(2, 12, 2, 3), (2, 4, 5, 6)]


def features(
    shape: tuple[int, ...] = SHAPES[0], grad: bool = False, dtype: torch.dtype = torch.float64
) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(0)
    return {
        domain: torch.randn(*shape, generator=generator, dtype=torch.float64)
        .to(dtype)
        .requires_grad_(grad)
        for domain in DOMAINS
    }


def by_definition(f_a: Tensor, f_b: Tensor) -> Tensor:
    """Eqs. 5 and 6 with the C x C matrices, one sample after the other."""
    cosines = []
    for a, b in zip(f_a.double(), f_b.double(), strict=True):
        gram_a = torch.einsum('ip,jp->ij', a.flatten(1), a.flatten(1)).flatten()
        gram_b = torch.einsum('ip,jp->ij', b.flatten(1), b.flatten(1)).flatten()
        cosines.append(gram_a @ gram_b / (gram_a.norm() * gram_b.norm()))
    return torch.stack(cosines)


def test_worked_example() -> None:
    a = torch.tensor([[1.0, 0.0], [0.0, 1.0]]).view(1, 2, 1, 2)
    b = torch.tensor([[1.0, 1.0], [0.0, 0.0]]).view(1, 2, 1, 2)
    assert gram_cosine(a, b).tolist() == [pytest.approx(0.7071068, abs=1e-7)]
    # An all-zero third channel changes neither Gram matrix's cosine, but now N < C.
    a3, b3 = F.pad(a, (0, 0, 0, 0, 0, 1)), F.pad(b, (0, 0, 0, 0, 0, 1))
    assert gram_cosine(a3, b3).tolist() == [pytest.approx(0.7071068, abs=1e-7)]


@pytest.mark.parametrize('shape', SHAPES)
def test_agrees_with_the_definition(shape: tuple[int, ...]) -> None:
    f = features(shape)
    expected = by_definition(f['source_day'], f['source_night'])
    torch.testing.assert_close(gram_cosine(f['source_day'], f['source_night']), expected)
    single = gram_cosine(f['source_day'].float(), f['source_night'].float())
    assert single.dtype == torch.float32
    torch.testing.assert_close(single.double(), expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize('shape', [*SHAPES, (1, 2048, 16, 16)])
@pytest.mark.parametrize('form', ['channel', 'position'])
@pytest.mark.parametrize(
    ('dtype', 'tolerance'),
    [(torch.float32, 3e-6), (torch.float64, 1e-10)],
    ids=['single', 'double'],
)
def test_matrices_of_either_size_give_the_same(
    shape: tuple[int, ...], form: str, dtype: torch.dtype, tolerance: float
) -> None:
    f = features(shape, dtype=dtype, grad=True)
    a, b = f['source_day'], f['source_night']
    expected = by_definition(a, b)
    cosine = gram_cosine(a, b, form)
    torch.testing.assert_close(cosine.double(), expected, rtol=0, atol=tolerance)
    slopes = torch.autograd.grad(cosine.sum(), (a, b))
    for slope, wanted in zip(slopes, torch.autograd.grad(expected.sum(), (a, b)), strict=True):
        torch.testing.assert_close(slope, wanted, rtol=0, atol=10 * tolerance)


@pytest.mark.parametrize(
    ('shape', 'form', 'side'),
    [
        ((1, 40, 3, 3), 'auto', 9),
        ((1, 8, 3, 3), 'auto', 8),
        ((1, 40, 3, 3), 'channel', 40),
        ((1, 8, 3, 3), 'position', 9),
    ],
)
def test_size_of_the_matrices(shape: tuple[int, ...], form: str, side: int) -> None:
    """Three products of 2 * side^2 * the other side."""
    f = features(shape)
    with FlopCounterMode(display=False) as counter:
        gram_cosine(f['source_day'], f['source_night'], form)
    other = 9 if side == shape[1] else shape[1]
    products = 2 if side == shape[1] else 3  # <A A^T, B B^T> needs no third product
    assert counter.get_total_flops() == products * 2 * side * side * other


@pytest.mark.parametrize(('shape', 'expected'), [((2048, 16, 16), 0.967), ((256, 32, 32), 0.992)])
def test_random_features_after_a_relu(shape: tuple[int, ...], expected: float) -> None:
    generator = torch.Generator().manual_seed(0)
    a, b = torch.randn(2, 1, *shape, generator=generator).relu()
    assert gram_cosine(a, b).item() == pytest.approx(expected, abs=1e-3)
    torch.testing.assert_close(gram_cosine(a, b).double(), by_definition(a, b), rtol=0, atol=3e-6)


@pytest.mark.parametrize('shape', SHAPES)
def test_invariances(shape: tuple[int, ...]) -> None:
    f = features(shape)
    a, b = f['source_day'], f['source_night']
    expected = gram_cosine(a, b)
    torch.testing.assert_close(gram_cosine(a, a), torch.ones(2, dtype=torch.float64))
    torch.testing.assert_close(gram_cosine(1e3 * a, 1e-4 * b), expected)
    torch.testing.assert_close(gram_cosine(b, a), expected)
    torch.testing.assert_close(gram_cosine(a.flip(3), b), expected)
    torch.testing.assert_close(gram_cosine(a.repeat(1, 1, 2, 3), b.repeat(1, 1, 2, 3)), expected)
    alone = torch.cat([gram_cosine(a[i : i + 1], b[i : i + 1]) for i in range(2)])
    torch.testing.assert_close(alone, expected)
    assert (expected - F.cosine_similarity(a.flatten(1), b.flatten(1))).abs().min() > 0.1


@pytest.mark.parametrize('shape', [(1, 5, 2, 2), (2, 3, 2, 2)])
def test_gradient(shape: tuple[int, ...]) -> None:
    f = features(shape, grad=True)
    assert torch.autograd.gradcheck(gram_cosine, (f['source_day'], f['source_night']))


@pytest.mark.parametrize('shape', SHAPES)
def test_zero_feature(shape: tuple[int, ...]) -> None:
    zero = torch.zeros(shape, requires_grad=True)
    other = torch.ones(shape, requires_grad=True)
    for a, b in ((zero, other), (other, zero), (zero, zero)):
        cosine = gram_cosine(a, b)
        assert cosine.tolist() == [0, 0]
        cosine.sum().backward()
    assert zero.grad is not None and not zero.grad.any()
    assert other.grad is not None and other.grad.isfinite().all()


@pytest.mark.parametrize('shape', SHAPES)
def test_dead_channels_and_positions_have_a_finite_gradient(shape: tuple[int, ...]) -> None:
    a, b = (x.detach().clone() for x in list(features(shape).values())[:2])
    for x in (a, b):
        x[:, 0], x[:, :, 0, 0] = 0, 0
        x.requires_grad_()
    cosine = gram_cosine(a, b)
    torch.testing.assert_close(cosine, by_definition(a, b))
    cosine.sum().backward()
    assert a.grad is not None and a.grad.isfinite().all() and a.grad.any()


@pytest.mark.parametrize('shape', [(1, 16, 128, 128), (1, 512, 4, 4)])
def test_half_precision_neither_overflows_nor_underflows(
    half_dtype: torch.dtype, shape: tuple[int, ...]
) -> None:
    generator = torch.Generator().manual_seed(0)
    # The Gram matrix of the first has 128 * 128 * 6^2 / 2 = 3e5 on its diagonal, float16 ends at
    # 65504; that of the second, were it not for single precision, would be all zero.
    scale = 6.0 if shape[2] == 128 else 1e-4
    a, b = (scale * torch.randn(2, *shape, generator=generator).relu()).to(half_dtype)
    with torch.autocast('cpu', dtype=half_dtype):
        cosine = gram_cosine(a, b)
    assert cosine.dtype == torch.float32
    torch.testing.assert_close(cosine.double(), by_definition(a, b), rtol=0, atol=1e-5)


def test_autocast_changes_nothing(half_dtype: torch.dtype) -> None:
    f = features(dtype=torch.float32)
    expected = CDSLoss()(f)['loss_cds']
    with torch.autocast('cpu', dtype=half_dtype):
        assert CDSLoss()(f)['loss_cds'].item() == expected.item()


@pytest.mark.parametrize('kwargs', [{}, dict(gram_form='channel')])
def test_gradient_of_the_loss(kwargs: dict) -> None:
    f = features((2, 5, 2, 2), grad=True)

    def loss(*tensors: Tensor) -> Tensor:
        return CDSLoss(**kwargs)(dict(zip(DOMAINS, tensors, strict=True)))['loss_cds']

    assert torch.autograd.gradcheck(loss, tuple(f.values()))


def test_batch_and_channels_must_agree() -> None:
    with pytest.raises(ValueError, match=r'\(1, 3, 2, 2\)'):
        gram_cosine(torch.ones(1, 3, 2, 2), torch.ones(1, 4, 2, 2))


def test_loss_is_the_mean_squared_difference() -> None:
    f = features()
    source = by_definition(f['source_day'], f['source_night'])
    target = by_definition(f['target_day'], f['target_night'])
    expected = ((source - target) ** 2).mean().item()
    terms = CDSLoss(loss_weight=3)(f)
    assert set(terms) == {'loss_cds'}
    assert terms['loss_cds'].item() == pytest.approx(3 * expected)
    for form in ('channel', 'position'):
        value = CDSLoss(loss_weight=3, gram_form=form)(f)['loss_cds'].item()
        assert value == pytest.approx(3 * expected)


def test_loss_does_not_depend_on_the_grid() -> None:
    f = features()
    tiled = {domain: x.repeat(1, 1, 4, 4) for domain, x in f.items()}
    expected = CDSLoss()(f)['loss_cds'].item()
    assert CDSLoss()(tiled)['loss_cds'].item() == pytest.approx(expected)


@pytest.mark.parametrize(
    ('detach', 'receivers'),
    [
        (None, set(DOMAINS)),
        ('target', {'source_day', 'source_night'}),
        ('source', {'target_day', 'target_night'}),
    ],
)
def test_who_gets_gradient(detach: str | None, receivers: set[str]) -> None:
    f = features(grad=True)
    CDSLoss(detach=detach)(f)['loss_cds'].backward()
    assert {d for d, x in f.items() if x.grad is not None and x.grad.any()} == receivers


@pytest.mark.parametrize('kwargs', [dict(loss_weight=0), dict(detach='T'), dict(gram_form='N')])
def test_bad_settings_are_refused(kwargs: dict) -> None:
    with pytest.raises(ValueError, match=next(iter(kwargs))):
        CDSLoss(**kwargs)


def test_unknown_form_is_refused() -> None:
    with pytest.raises(ValueError, match="'auto', 'channel', 'position'"):
        gram_cosine(torch.ones(1, 3, 2, 2), torch.ones(1, 3, 2, 2), 'gram')


def test_is_registered_and_stateless() -> None:
    loss = MODELS.build(dict(type='CDSLoss', detach='target'))
    assert isinstance(loss, CDSLoss) and loss.detach == 'target' and not loss.state_dict()


def faint_styles(generator: torch.Generator) -> dict[str, Tensor]:
    """Features after a ReLU whose styles differ so little that L_CDS is about 1e-4."""
    shared = torch.randn(2, 512, 8, 8, generator=generator, dtype=torch.float64)
    shares = dict(zip(DOMAINS, (0.0, 0.30, 0.0, 0.33), strict=True))
    return {
        domain: (
            shared
            + share
            * torch.randn(2, 512, 8, 8, generator=generator, dtype=torch.float64).cumsum(1)
            / 8
        ).relu()
        for domain, share in shares.items()
    }


@pytest.mark.parametrize('form', ['channel', 'position'])
def test_a_faint_difference_survives_features_in_bfloat16(form: str) -> None:
    """The cosines are those of the features that arrive, and rounding those costs less than 1 % of the loss.

    So what a network in bfloat16 changes of a small L_CDS comes from its own layers.
    """
    exact = faint_styles(torch.Generator().manual_seed(0))
    loss = CDSLoss(gram_form=form)
    expected = loss(exact)['loss_cds'].item()
    assert 2e-5 < expected < 2e-4
    rounded = {domain: x.bfloat16() for domain, x in exact.items()}
    with torch.autocast('cpu', dtype=torch.bfloat16):
        found = loss(rounded)['loss_cds']
        cosines = loss.gram_correlations(rounded)
    assert found.item() == pytest.approx(expected, rel=1e-2)
    for world, cosine in cosines.items():
        wanted = by_definition(rounded[f'{world}_day'], rounded[f'{world}_night'])
        torch.testing.assert_close(cosine.double(), wanted, rtol=0, atol=1e-6)
