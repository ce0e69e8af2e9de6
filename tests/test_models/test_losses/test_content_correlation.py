from __future__ import annotations

import math

import pytest
import torch
from mmseg.registry import MODELS
from torch import Tensor
from torch.nn import functional as F

from mmseg_ccdistill.domains import DOMAINS
from mmseg_ccdistill.models.losses import (
    CDCLoss,
    correlation_maps,
    cosine_map,
    match_parallax,
)

JS, ILLU, IN = 'loss_cdc_js', 'loss_cdc_illu', 'loss_cdc_in'
#: Jensen-Shannon divergence of softmax(e0) and softmax(e1) in four channels.
J = 0.0721408


def axes(*indices: int) -> dict[str, Tensor]:
    """One unit vector per domain in four channels, on a 1 x 1 grid, float64."""
    vectors = F.one_hot(torch.tensor(indices), 4).double().view(4, 1, 4, 1, 1)
    return dict(zip(DOMAINS, vectors, strict=True))


def embeddings(
    batch: int = 2, channels: int = 16, height: int = 4, width: int = 5, grad: bool = False
) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(0)
    result = {}
    for domain in DOMAINS:
        e = torch.randn(batch, channels, height, width, generator=generator, dtype=torch.float64)
        result[domain] = F.normalize(e, dim=1).requires_grad_(grad)
    return result


def by_loops(e: dict[str, Tensor], tau: float = 1.0) -> dict[str, float]:
    """Eqs. 1-4 position by position, λ = 4, 256 positions, squares averaged."""
    batch, _, height, width = e['source_day'].shape
    js = illu = inherent = 0.0
    for b in range(batch):
        for y in range(height):
            for x in range(width):
                v = {domain: e[domain][b, :, y, x] for domain in DOMAINS}
                p = {domain: (vector / tau).softmax(0) for domain, vector in v.items()}

                def divergence(a: str, c: str, p: dict[str, Tensor] = p) -> float:
                    m = (p[a] + p[c]) / 2
                    kl = [(p[k] * (p[k].log() - m.log())).sum().item() for k in (a, c)]
                    return sum(kl) / 2

                def cosine(a: str, c: str, v: dict[str, Tensor] = v) -> float:
                    return (v[a] @ v[c] / (v[a].norm() * v[c].norm())).item()

                js += 4 * (
                    divergence('source_day', 'source_night')
                    + divergence('target_day', 'target_night')
                )
                js -= divergence('source_day', 'target_day')
                js -= divergence('source_night', 'target_night')
                illu += (
                    cosine('source_day', 'source_night') - cosine('target_day', 'target_night')
                ) ** 2
                inherent += (
                    cosine('source_day', 'target_day') - cosine('source_night', 'target_night')
                ) ** 2
    count = batch * height * width
    return {JS: 256 * js / count, ILLU: illu / count, IN: inherent / count}


def test_cosine_map() -> None:
    e_a = torch.tensor([3.0, 4.0]).view(1, 2, 1, 1)
    e_b = torch.tensor([4.0, 3.0]).view(1, 2, 1, 1)
    assert cosine_map(e_a, e_b).tolist() == [[[pytest.approx(24 / 25)]]]
    e = embeddings()['source_day'].float()
    torch.testing.assert_close(cosine_map(e, e), torch.ones(2, 4, 5), rtol=0, atol=1e-6)
    torch.testing.assert_close(cosine_map(e, -7 * e), -torch.ones(2, 4, 5), rtol=0, atol=1e-6)


def test_cosine_of_a_zero_vector_is_zero_with_a_finite_gradient() -> None:
    e_a = torch.zeros(1, 3, 1, 1, requires_grad=True)
    cosine = cosine_map(e_a, torch.ones(1, 3, 1, 1))
    cosine.sum().backward()
    assert cosine.item() == 0
    assert e_a.grad is not None and e_a.grad.isfinite().all()


def test_cosine_map_refuses_two_grids() -> None:
    with pytest.raises(ValueError, match='one shape'):
        cosine_map(torch.ones(1, 3, 2, 2), torch.ones(1, 3, 2, 1))


def test_the_four_maps() -> None:
    maps = correlation_maps(axes(0, 0, 1, 2))
    values = {name: cor.item() for name, cor in maps.items()}
    assert values == {'illu_source': 1, 'illu_target': 0, 'in_day': 0, 'in_night': 0}


def test_worked_example() -> None:
    """S_d = S_n = e0, T_d = e1, T_n = e2: attraction 4 J, repulsion 2 J."""
    terms = CDCLoss(loss_weight=1, js_positions=1)(axes(0, 0, 1, 2))
    assert terms[JS].item() == pytest.approx(0.1442815, abs=1e-6)
    assert terms[ILLU].item() == pytest.approx(1.0)
    assert terms[IN].item() == pytest.approx(0.0)


def test_equal_day_and_night_leave_the_repulsion_alone() -> None:
    e = embeddings()
    pairs = {**e, 'source_night': e['source_day'], 'target_night': e['target_day']}
    terms = CDCLoss(loss_weight=1)(pairs)
    assert terms[ILLU].item() == pytest.approx(0, abs=1e-12)  # Cor_illu is 1 in both
    assert terms[IN].item() == 0  # Cor_in is the same by day and at night
    assert terms[JS].item() == pytest.approx(by_loops(pairs)[JS], rel=1e-9)
    assert terms[JS].item() < 0


@pytest.mark.parametrize(
    ('signs', 'illu', 'inherent'),
    [((1, 1, 1, -1), 4, 4), ((1, -1, 1, -1), 0, 0), ((1, 1, -1, 1), 4, 4), ((1, 1, 1, 1), 0, 0)],
)
def test_squares_range_from_0_to_4(signs: tuple, illu: float, inherent: float) -> None:
    """Signs of one vector in S_d, S_n, T_d, T_n, so that every Cor is +1 or -1."""
    v = axes(0, 0, 0, 0)
    names = ('source_day', 'source_night', 'target_day', 'target_night')
    terms = CDCLoss(loss_weight=1)({d: s * v[d] for d, s in zip(names, signs, strict=True)})
    assert terms[ILLU].item() == pytest.approx(illu)
    assert terms[IN].item() == pytest.approx(inherent)


def test_literal_sum_swamps_the_cross_entropy() -> None:
    """A difference of 0.1 in Cor_illu on the paper's grid: 5.12 as a sum, 0.02 as a mean."""
    angle = math.acos(0.9)
    night = torch.tensor([math.cos(angle), math.sin(angle)]).double().view(1, 2, 1, 1)
    day = torch.tensor([1.0, 0.0]).double().view(1, 2, 1, 1)
    e = {domain: day.expand(2, 2, 16, 16) for domain in DOMAINS}
    e['target_night'] = night.expand(2, 2, 16, 16)
    assert CDCLoss(cor_reduction='sum')(e)[ILLU].item() == pytest.approx(5.12)
    assert CDCLoss()(e)[ILLU].item() == pytest.approx(0.02)


@pytest.mark.parametrize(
    ('attraction', 'repulsion', 'indices', 'expected'),
    [
        (4.0, 1.0, (0, 1, 0, 1), 8 * J),  # only day and night differ
        (1.0, 1.0, (0, 1, 0, 1), 2 * J),
        (1.0, 4.0, (0, 1, 0, 1), 2 * J),
        (4.0, 1.0, (0, 0, 1, 1), -2 * J),  # only source and target differ: negative, not clamped
        (1.0, 1.0, (0, 0, 1, 1), -2 * J),
        (1.0, 4.0, (0, 0, 1, 1), -8 * J),
        (4.0, 0.0, (0, 0, 1, 1), 0.0),
        (4.0, 1.0, (2, 2, 2, 2), 0.0),
        (1.0, 4.0, (2, 2, 2, 2), 0.0),
    ],
)
def test_attraction_and_repulsion(
    attraction: float, repulsion: float, indices: tuple, expected: float
) -> None:
    loss = CDCLoss(
        loss_weight=1, attraction_weight=attraction, repulsion_weight=repulsion, js_positions=1
    )
    assert loss(axes(*indices))[JS].item() == pytest.approx(expected, abs=1e-6)


def test_agrees_with_loops_over_positions() -> None:
    e = embeddings()
    expected = by_loops(e)
    terms = CDCLoss()(e)
    assert set(terms) == {JS, ILLU, IN}
    for key, value in expected.items():
        assert terms[key].item() == pytest.approx(2 * value, rel=1e-9), key  # λ1 = 2


def test_collapse_to_two_vectors_is_the_minimum() -> None:
    """+v for S and -v for T: L_JS about -1 on the papers' grid, both squares 0."""
    v = F.normalize(torch.randn(1, 256, 1, 1, generator=torch.Generator().manual_seed(0)), dim=1)
    v = v.expand(2, 256, 16, 16)
    terms = CDCLoss(loss_weight=1)(dict(zip(DOMAINS, (v, v, -v, -v), strict=True)))
    assert terms[JS].item() == pytest.approx(-2 * 256 * 1.94e-3, rel=1e-2)
    assert terms[ILLU].item() == pytest.approx(0, abs=1e-9)
    assert terms[IN].item() == pytest.approx(0, abs=1e-9)


def test_literal_sums() -> None:
    e = embeddings(batch=3)
    mean = CDCLoss(js_positions=1)(e)
    literal = CDCLoss(js_positions=None, cor_reduction='sum')(e)
    for key in (JS, ILLU, IN):
        assert literal[key].item() == pytest.approx(20 * mean[key].item())  # 4 x 5 positions


def test_default_is_the_literal_sum_on_the_papers_grid() -> None:
    e = embeddings(channels=4, height=16, width=16)
    default, literal = CDCLoss()(e)[JS], CDCLoss(js_positions=None)(e)[JS]
    assert default.item() == pytest.approx(literal.item())


def test_size_of_grid_and_batch_does_not_matter() -> None:
    e = embeddings()
    expected = CDCLoss()(e)
    tiled = CDCLoss()({domain: x.repeat(2, 1, 3, 2) for domain, x in e.items()})
    for key in (JS, ILLU, IN):
        assert tiled[key].item() == pytest.approx(expected[key].item())


def test_a_joint_permutation_of_positions_changes_nothing() -> None:
    e = embeddings()
    order = torch.randperm(20, generator=torch.Generator().manual_seed(1))
    permuted = {d: x.flatten(2)[:, :, order].view_as(x) for d, x in e.items()}
    expected, terms = CDCLoss()(e), CDCLoss()(permuted)
    for key in (JS, ILLU, IN):
        assert terms[key].item() == pytest.approx(expected[key].item())


def test_pooled_correlation() -> None:
    e = embeddings(height=3, width=4)
    maps = correlation_maps(e, pool=2)
    assert maps['in_day'].shape == (2, 2, 2)
    day, night = e['source_day'], e['source_night']
    for y, x, rows, columns in ((0, 1, slice(0, 2), slice(2, 4)), (1, 0, slice(2, 3), slice(0, 2))):
        a = day[1, :, rows, columns].sum((1, 2))
        b = night[1, :, rows, columns].sum((1, 2))
        expected = (a @ b / (a.norm() * b.norm())).item()
        assert maps['illu_source'][1, y, x].item() == pytest.approx(expected)


def test_the_temperature_reaches_the_divergences() -> None:
    e = embeddings()
    terms = CDCLoss(loss_weight=1, js_tau=0.1)(e)
    for key, value in by_loops(e, tau=0.1).items():
        assert terms[key].item() == pytest.approx(value, rel=1e-9), key


def test_pooling_reaches_the_two_squares_alone() -> None:
    """Patches of 2 x 2, those of the last row of 1 x 2; a cosine does not see the difference of mean and sum."""
    e = embeddings(height=3, width=4)
    sums = {}
    for domain, x in e.items():
        patches = [x[:, :, v : v + 2, u : u + 2].sum((2, 3)) for v in (0, 2) for u in (0, 2)]
        sums[domain] = torch.stack(patches, dim=2).view(2, 16, 2, 2)
    expected = {**by_loops(sums), JS: by_loops(e)[JS]}
    terms = CDCLoss(loss_weight=1, cor_pool=2)(e)
    for key, value in expected.items():
        assert terms[key].item() == pytest.approx(value, rel=1e-9), key


@pytest.mark.parametrize(
    ('key', 'detach_guide', 'receivers'),
    [
        (JS, True, set(DOMAINS)),
        (ILLU, True, {'target_day', 'target_night'}),
        (IN, True, {'source_night', 'target_night'}),
        (ILLU, False, set(DOMAINS)),
        (IN, False, set(DOMAINS)),
    ],
)
def test_who_gets_gradient(key: str, detach_guide: bool, receivers: set[str]) -> None:
    e = embeddings(grad=True)
    CDCLoss(detach_guide=detach_guide)(e)[key].backward()
    assert {d for d, x in e.items() if x.grad is not None and x.grad.any()} == receivers


def test_gradient_pulls_and_pushes() -> None:
    """A step against the gradient of L_JS brings pairs together and moves S from T."""
    e = embeddings(grad=True)
    CDCLoss(attraction_weight=1.0)(e)[JS].backward()
    moved = {d: F.normalize((x - 0.5 * x.grad).detach(), dim=1) for d, x in e.items()}
    before, after = correlation_maps(e), correlation_maps(moved)
    assert after['illu_source'].mean() > before['illu_source'].mean()
    assert after['illu_target'].mean() > before['illu_target'].mean()
    assert after['in_day'].mean() < before['in_day'].mean()
    assert after['in_night'].mean() < before['in_night'].mean()


@pytest.mark.parametrize('kwargs', [{}, dict(js_tau=0.1, cor_pool=2, cor_reduction='sum')])
def test_gradient(kwargs: dict) -> None:
    e = embeddings(batch=1, channels=4, height=2, width=3, grad=True)
    loss = CDCLoss(detach_guide=False, **kwargs)

    def total(*tensors: Tensor) -> Tensor:
        return torch.stack(list(loss(dict(zip(DOMAINS, tensors, strict=True))).values()))

    assert torch.autograd.gradcheck(total, tuple(e.values()))


@pytest.mark.parametrize(
    ('off', 'key'), [('js_weight', JS), ('illumination_weight', ILLU), ('inherent_weight', IN)]
)
def test_a_term_of_weight_0_is_left_out(off: str, key: str) -> None:
    e = embeddings()
    expected = CDCLoss()(e)
    terms = CDCLoss(**{off: 0})(e)
    assert set(terms) == {JS, ILLU, IN} - {key}
    for name, value in terms.items():
        assert value.item() == expected[name].item()


def test_weights_multiply() -> None:
    e = embeddings()
    base = CDCLoss(loss_weight=1)(e)
    terms = CDCLoss(loss_weight=3, js_weight=2, illumination_weight=5, inherent_weight=7)(e)
    for key, factor in ((JS, 6), (ILLU, 15), (IN, 21)):
        assert terms[key].item() == pytest.approx(factor * base[key].item())


def test_autocast_changes_nothing(half_dtype: torch.dtype) -> None:
    e = {domain: x.float() for domain, x in embeddings(channels=64).items()}
    expected = CDCLoss()(e)
    with torch.autocast('cpu', dtype=half_dtype):
        terms = CDCLoss()(e)
        half = CDCLoss()({domain: x.to(half_dtype) for domain, x in e.items()})
    for key, value in expected.items():
        assert terms[key].dtype == half[key].dtype == torch.float32
        assert terms[key].item() == value.item()
        assert half[key].item() == pytest.approx(value.item(), rel=2e-2)


def test_double_stays_double_and_zeros_stay_finite() -> None:
    e = {d: torch.zeros(1, 4, 2, 2, dtype=torch.float64, requires_grad=True) for d in DOMAINS}
    terms = CDCLoss()(e)
    assert all(value.dtype == torch.float64 for value in terms.values())
    sum(terms.values()).backward()
    assert all(x.grad.isfinite().all() for x in e.values())


def test_one_embedding_for_everything_has_a_finite_gradient() -> None:
    e = {d: F.normalize(torch.ones(2, 8, 3, 3), dim=1).requires_grad_() for d in DOMAINS}
    terms = CDCLoss()(e)
    assert sum(terms.values()).item() == pytest.approx(0, abs=1e-6)
    sum(terms.values()).backward()
    assert all(x.grad.isfinite().all() for x in e.values())


def test_source_and_target_on_two_grids_are_refused() -> None:
    e = embeddings()
    e['target_day'] = e['target_day'][..., :4]
    with pytest.raises(ValueError, match=r"'target_day': \(2, 16, 4, 4\).*same size"):
        CDCLoss()(e)
    with pytest.raises(ValueError, match='target_night'):
        correlation_maps({d: x for d, x in e.items() if d != 'target_night'})


@pytest.mark.parametrize(
    ('kwargs', 'message'),
    [
        (dict(js_weight=-1), 'js_weight'),
        (dict(loss_weight=0), 'loss_cdc=None'),
        (dict(js_weight=0, illumination_weight=0, inherent_weight=0), 'loss_cdc=None'),
        (dict(js_tau=0), 'js_tau'),
        (dict(js_positions=0), 'js_positions'),
        (dict(cor_reduction='none'), 'cor_reduction'),
        (dict(cor_pool=0), 'cor_pool'),
        (dict(parallax=-1), 'parallax'),
        (dict(parallax=0.5), 'expected an int'),
    ],
)
def test_bad_settings_are_refused(kwargs: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        CDCLoss(**kwargs)


def test_is_registered_and_stateless() -> None:
    loss = MODELS.build(dict(type='CDCLoss', js_tau=0.5))
    assert isinstance(loss, CDCLoss) and loss.js_tau == 0.5 and not loss.state_dict()


@pytest.mark.parametrize('radius', [0, 1, 2])
def test_parallax_by_loops(radius: int) -> None:
    e = embeddings()
    day, night = e['target_day'], e['target_night']
    expected = torch.empty_like(day)
    for b in range(2):
        for y in range(4):
            for x in range(5):
                near = [
                    day[b, :, v, u]
                    for v in range(4)
                    for u in range(5)
                    if max(abs(v - y), abs(u - x)) <= radius
                ]
                expected[b, :, y, x] = max(near, key=lambda d: (d @ night[b, :, y, x]).item())
    torch.testing.assert_close(match_parallax(day, night, radius), expected, rtol=0, atol=0)


def test_a_shifted_day_is_found_again() -> None:
    night = embeddings(height=6, width=7)['target_night']
    day = night.roll((1, -1), (2, 3))
    found = match_parallax(day, night, 1)
    torch.testing.assert_close(found[..., :-1, 1:], night[..., :-1, 1:], rtol=0, atol=0)
    e = {**embeddings(height=6, width=7), 'target_day': day, 'target_night': night}
    assert CDCLoss(parallax=1)(e)[JS] < CDCLoss()(e)[JS]


def test_equal_matches_stay_where_they_are() -> None:
    day = torch.arange(12.0).view(1, 1, 3, 4).expand(1, 2, 3, 4)
    night = torch.zeros(1, 2, 3, 4)
    torch.testing.assert_close(match_parallax(day, night, 2), day, rtol=0, atol=0)


def test_parallax_changes_what_t_d_is_compared_as_and_nothing_else() -> None:
    e = embeddings()
    matched = {**e, 'target_day': match_parallax(e['target_day'], e['target_night'], 1)}
    expected, terms = CDCLoss()(matched), CDCLoss(parallax=1)(e)
    for key, value in expected.items():
        torch.testing.assert_close(terms[key], value, rtol=0, atol=0)


def test_the_chosen_positions_get_the_gradient() -> None:
    """One day position that all night positions choose gets all of it."""
    day = torch.zeros(1, 2, 3, 3)
    day[0, 0] = 1
    day[0, :, 1, 1] = torch.tensor([0.0, 1.0])
    night = torch.zeros(1, 2, 3, 3)
    night[:, 1] = 1
    day.requires_grad_()
    match_parallax(day, night, 1)[:, 1].sum().backward()
    assert day.grad is not None and day.grad[0, 1, 1, 1] == 9 and day.grad.sum() == 9
