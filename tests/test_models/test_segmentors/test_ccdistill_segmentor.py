from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import pytest
import torch
from mmengine.config import ConfigDict
from mmengine.optim import OptimWrapper

from mmseg_ccdistill.domains import DOMAINS

TERMS = {
    'source_day.loss_seg',
    'source_night.loss_seg',
    'target_night.loss_pseudo',
    'cross.loss_cdc_js',
    'cross.loss_cdc_illu',
    'cross.loss_cdc_in',
    'cross.loss_cds',
}


def losses_of(model: torch.nn.Module, batch: dict[str, Any]) -> dict[str, torch.Tensor]:
    data = model.data_preprocessor(batch, True)
    torch.manual_seed(3)
    return model(**data, mode='loss')


def test_log_keys_sum_to_the_total(build: Callable, batch: dict[str, Any]) -> None:
    model = build()
    losses = losses_of(model, batch)
    assert {key for key in losses if 'loss' in key} == TERMS
    total, log = model.parse_losses(losses)
    torch.testing.assert_close(total, torch.stack([losses[key] for key in sorted(TERMS)]).sum())
    assert torch.isfinite(torch.stack(list(log.values()))).all()
    assert {
        'cor.illu_source_mean',
        'cor.contrast_source',
        'cor.effective_rank',
        'pseudo.share',
    } <= set(losses)


def test_magnitudes_at_the_start(build: Callable, batch: dict[str, Any]) -> None:
    """A fresh classifier is close to uniform: L_seg = ln 19; L_CDS is small by nature (method section 6)."""
    losses = losses_of(build(), batch)
    for domain in ('source_day', 'source_night'):
        assert losses[f'{domain}.loss_seg'].item() == pytest.approx(2.944, abs=0.3)
    assert 0 <= losses['cross.loss_cds'].item() < 0.1


@pytest.mark.parametrize(
    'overrides',
    [
        {},
        dict(loss_cdc=None),
        dict(loss_cds=None),
        dict(loss_cdc=None, loss_cds=None),
        dict(loss_pseudo=None),
        dict(
            loss_pseudo=None,
            feature='decode_head',
            projection_head=dict(type='ProjectionHead', in_channels=8),
        ),
        dict(projection_head=None),
        dict(feature='decode_head', projection_head=dict(type='ProjectionHead', in_channels=8)),
        dict(feature='backbone.2', projection_head=dict(type='ProjectionHead', in_channels=32)),
        dict(teacher_mode='eval'),
        dict(loss_cdc=dict(type='CDCLoss', js_weight=0.0)),
        dict(share_projection_head=False),
        dict(share_projection_head=False, distill_into='night'),
    ],
)
def test_every_parameter_gets_a_gradient(
    build: Callable, batch: dict[str, Any], overrides: dict[str, Any]
) -> None:
    """What distributed training needs: no trainable parameter is left out, in any configuration."""
    model = build(**overrides)
    total, _ = model.parse_losses(losses_of(model, batch))
    total.backward()
    missing = [name for name, parameter in model.named_parameters() if parameter.grad is None]
    assert missing == []
    if overrides.get('loss_cdc', {}) is None:
        assert model.projection_head is None


@pytest.mark.parametrize('js', [0.0, 1.0])
@pytest.mark.parametrize('illumination', [0.0, 1.0])
@pytest.mark.parametrize('inherent', [0.0, 1.0])
@pytest.mark.parametrize('detach_guide', [True, False])
@pytest.mark.parametrize(
    'more',
    [
        {},
        dict(distill_into='night'),
        dict(distill_into='target_night'),
        dict(loss_cds=None, loss_pseudo=None),
    ],
)
def test_a_head_of_its_own_learns_or_is_refused(
    build: Callable,
    batch: dict[str, Any],
    js: float,
    illumination: float,
    inherent: float,
    detach_guide: bool,
    more: dict[str, Any],
) -> None:
    """All combinations of terms. Of the inherent term alone, M_d's embeddings are a constant guide."""
    if not (js or illumination or inherent):
        return  # CDCLoss refuses it
    loss = dict(
        type='CDCLoss',
        js_weight=js,
        illumination_weight=illumination,
        inherent_weight=inherent,
        detach_guide=detach_guide,
    )
    overrides = dict(more, share_projection_head=False, loss_cdc=loss)
    if detach_guide and not (js or illumination):
        with pytest.raises(
            ValueError, match='a projection head for day, .*set share_projection_head=True'
        ):
            build(**overrides)
        overrides['share_projection_head'] = True
    model = build(**overrides)
    total, _ = model.parse_losses(losses_of(model, batch))
    total.backward()
    assert [name for name, p in model.named_parameters() if p.grad is None] == []


def gradient_owners(model: torch.nn.Module, term: torch.Tensor) -> set:
    model.zero_grad()
    term.backward()
    owners = set()
    for name, parameter in model.named_parameters():
        if parameter.grad is not None and parameter.grad.abs().sum() > 0:
            owners.add(
                '.'.join(name.split('.')[:2])
                if not name.startswith('projection')
                else 'projection_head'
            )
    return owners


@pytest.mark.parametrize(
    ('term', 'owners'),
    [
        ('source_day.loss_seg', {'day.backbone', 'day.decode_head'}),
        ('source_night.loss_seg', {'night.backbone', 'night.decode_head'}),
        ('target_night.loss_pseudo', {'night.backbone', 'night.decode_head'}),
        ('cross.loss_cdc_js', {'day.backbone', 'night.backbone', 'projection_head'}),
        ('cross.loss_cdc_illu', {'day.backbone', 'night.backbone', 'projection_head'}),
        ('cross.loss_cdc_in', {'night.backbone', 'projection_head'}),
        ('cross.loss_cds', {'day.backbone', 'night.backbone'}),
    ],
)
def test_which_parts_a_term_trains(
    build: Callable, batch: dict[str, Any], term: str, owners: set
) -> None:
    """Pseudo labels never reach M_d, guides are detached, decoders see no correlation term."""
    model = build()
    assert gradient_owners(model, losses_of(model, batch)[term]) == owners


@pytest.mark.parametrize('feature', ['backbone.3', 'decode_head'])
def test_distilled_into_the_night_the_day_is_a_constant(
    build: Callable, batch: dict[str, Any], feature: str
) -> None:
    """No correlation term trains M_d; every term has the value that it has where both are trained."""
    channels = 64 if feature == 'backbone.3' else 8
    overrides = dict(
        feature=feature, projection_head=dict(type='ProjectionHead', in_channels=channels)
    )
    both, into_night = build(**overrides), build(**overrides, distill_into='night')
    into_night.load_state_dict(both.state_dict())
    expected, losses = losses_of(both, batch), losses_of(into_night, batch)
    assert losses.keys() == expected.keys()
    for key, value in losses.items():
        torch.testing.assert_close(value, expected[key], rtol=0, atol=0)
    night = {'night.backbone'} | ({'night.decode_head'} if feature == 'decode_head' else set())
    for term in ('js', 'illu', 'in'):
        loss = losses_of(into_night, batch)[f'cross.loss_cdc_{term}']
        assert gradient_owners(into_night, loss) == night | {'projection_head'}
    loss = losses_of(into_night, batch)['cross.loss_cds']
    assert gradient_owners(into_night, loss) == night
    loss = losses_of(into_night, batch)['source_day.loss_seg']
    assert gradient_owners(into_night, loss) == {'day.backbone', 'day.decode_head'}


@pytest.mark.parametrize(
    ('distill_into', 'reached'),
    [
        ('both', dict(js={'sd', 'sn', 'td', 'tn'}, illu={'td', 'tn'}, **{'in': {'sn', 'tn'}})),
        ('night', dict(js={'sn', 'tn'}, illu={'tn'}, **{'in': {'sn', 'tn'}})),
        ('target_night', dict(js={'tn'}, illu={'tn'}, **{'in': {'tn'}})),
    ],
)
def test_which_domains_a_correlation_term_reaches(
    build: Callable, batch: dict[str, Any], distill_into: str, reached: dict[str, set]
) -> None:
    """Of the images: what S guides gets no gradient there, whatever else is a constant."""
    model = build(distill_into=distill_into)
    data = model.data_preprocessor(batch, True)
    inputs = {domain: images.requires_grad_() for domain, images in data['inputs'].items()}
    losses = model(**data, mode='loss')
    for term, expected in reached.items():
        gradients = torch.autograd.grad(
            losses[f'cross.loss_cdc_{term}'], list(inputs.values()), None, True, allow_unused=True
        )
        found = {
            domain[0] + domain.split('_')[1][0]
            for domain, gradient in zip(inputs, gradients, strict=True)
            if gradient is not None and gradient.any()
        }
        assert found == expected, term


def test_the_terms_see_the_raw_backbone_map(build: Callable, batch: dict[str, Any]) -> None:
    model = build()
    seen = {}
    model.loss_cds.register_forward_pre_hook(lambda module, args: seen.update(args[0]))
    data = model.data_preprocessor(batch, True)
    model.eval()
    model(**data, mode='loss')
    assert list(sorted(seen)) == sorted(DOMAINS)
    for domain, branch in zip(DOMAINS, (model.day, model.night) * 2, strict=True):
        torch.testing.assert_close(
            seen[domain], branch.backbone(data['inputs'][domain])[3], rtol=0, atol=0
        )


def features_and_data(
    model: torch.nn.Module, batch: dict[str, Any]
) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    """F_D of the four domains in one pass, and the batch as the branches see it."""
    seen: dict[str, torch.Tensor] = {}
    model.loss_cds.register_forward_pre_hook(lambda module, args: seen.update(args[0]))
    data = model.data_preprocessor(batch, True)
    model(**data, mode='loss')
    return seen, data


def test_f_d_in_training_is_the_map_before_dropout(build: Callable, batch: dict[str, Any]) -> None:
    """RefineNet's head drops values of the same map, and M_d sees S_d before T_d."""
    model = build().train()
    maps: dict[str, list[torch.Tensor]] = {'day': [], 'night': []}
    for light, calls in maps.items():
        getattr(model, light).backbone.register_forward_hook(
            lambda module, args, output, calls=calls: calls.append(output[3])
        )
    features, _ = features_and_data(model, batch)
    for domain in DOMAINS:
        source, target = maps[domain.split('_')[1]]
        assert torch.equal(features[domain], source if domain.startswith('source') else target)


def test_f_d_of_the_decode_head_is_what_its_classifier_reads(
    build: Callable, batch: dict[str, Any]
) -> None:
    head = dict(type='ProjectionHead', in_channels=8)
    model = build(feature='decode_head', projection_head=head).eval()
    features, data = features_and_data(model, batch)
    read: list[torch.Tensor] = []
    for domain in DOMAINS:
        branch = getattr(model, domain.split('_')[1])
        hook = branch.decode_head.conv_seg.register_forward_pre_hook(
            lambda module, args: read.append(args[0])
        )
        branch(data['inputs'][domain])
        hook.remove()
        torch.testing.assert_close(features[domain], read[-1])
    assert min(feature.min() for feature in features.values()) < 0  # no ReLU behind it


def test_without_a_head_an_embedding_is_the_feature_on_the_unit_sphere(
    build: Callable, batch: dict[str, Any]
) -> None:
    """Table 3, "w/o project head": e_D = F_D / ||F_D|| at every position."""
    model = build(projection_head=None)
    seen: list[dict[str, torch.Tensor]] = []
    for loss in (model.loss_cds, model.loss_cdc):
        loss.register_forward_pre_hook(lambda module, args: seen.append(args[0]))
    losses_of(model, batch)
    features, embeddings = seen
    for domain in DOMAINS:
        feature, embedding = features[domain], embeddings[domain]
        assert feature.shape == embedding.shape == (2, 64, 2, 2)
        for n, y, x in itertools.product(range(2), repeat=3):
            vector = feature[n, :, y, x]
            expected = vector / vector.square().sum().sqrt()
            torch.testing.assert_close(embedding[n, :, y, x], expected)


def test_branches_start_equal_and_then_part(build: Callable, batch: dict[str, Any]) -> None:
    model = build()
    day, night = model.day.state_dict(), model.night.state_dict()
    assert all(torch.equal(day[key], night[key]) for key in day)
    assert not {id(p) for p in model.day.parameters()} & {id(p) for p in model.night.parameters()}
    wrapper = OptimWrapper(torch.optim.SGD(model.parameters(), lr=0.01))
    model.train_step(batch, wrapper)
    assert any(
        not torch.equal(a, b)
        for a, b in zip(model.day.parameters(), model.night.parameters(), strict=True)
    )


def test_target_day_is_skipped_when_nothing_reads_it(
    build: Callable, batch: dict[str, Any]
) -> None:
    model = build(loss_cdc=None, loss_cds=None, loss_pseudo=None)
    calls = []
    model.day.backbone.register_forward_hook(lambda *_: calls.append(1))
    losses_of(model, batch)
    assert len(calls) == 1


def test_teacher_mode_eval_restores_modes(build: Callable, batch: dict[str, Any]) -> None:
    model = build(teacher_mode='eval')
    model.day.backbone.layer1.eval()
    losses_of(model, batch)
    assert not model.day.backbone.layer1.training
    assert model.day.backbone.layer2.training and model.day.decode_head.training


def test_diagnostics_interval(build: Callable, batch: dict[str, Any]) -> None:
    """Counted by the runner's iterations, so a resumed run computes them where it would have."""
    model = build(diagnostics_interval=2)
    seen = []
    for iteration in (6, 7, 8, 9):
        model.set_iteration(iteration, 10)
        seen.append('cor.effective_rank' in losses_of(model, batch))
    assert seen == [True, False, True, False]


def test_steps_may_be_replaced_one_by_one(
    build: Callable, batch: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another teacher, other embeddings: what a step returns is what the terms get."""
    model = build().eval()
    before = losses_of(model, batch)
    road = torch.zeros(2, 19, 64, 64)
    road[:, 0] = 9.0
    monkeypatch.setattr(type(model), 'teacher_logits', lambda self, *args: road)
    changed = losses_of(model, batch)
    assert changed['pseudo.largest_class'] == 1.0 != before['pseudo.largest_class']
    assert changed['cross.loss_cds'] == before['cross.loss_cds']
    monkeypatch.setattr(
        type(model),
        'distilled_features',
        lambda self, features: {d: torch.ones_like(f) for d, f in features.items()},
    )
    assert losses_of(model, batch)['cross.loss_cds'].item() == pytest.approx(0.0, abs=1e-6)


@pytest.mark.parametrize(
    ('overrides', 'message'),
    [
        (dict(projection_head=dict(type='ProjectionHead', in_channels=2048)), 'in_channels=64'),
        (dict(feature='backbone.7'), 'returns 4 maps'),
        (dict(feature='layer4'), "must be 'backbone.<index>'"),
        (dict(distill_into='day'), 'distill_into'),
        (dict(predict_with='dusk'), 'predict_with'),
    ],
)
def test_mistakes_end_at_build_with_the_right_value(
    build: Callable, overrides: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        build(**overrides)


@pytest.mark.parametrize(
    ('head', 'skipping', 'complete'),
    [
        (
            dict(type='DepthwiseSeparableASPPHead', c1_in_channels=8, c1_channels=4),
            'DepthwiseSeparableASPPHead',
            'ASPPHead',
        ),
        (dict(type='NLHead'), 'NLHead', 'FCNHead'),
    ],
)
def test_a_feature_that_would_skip_layers_is_refused(
    build: Callable, segmentor_config: dict[str, Any], head: dict, skipping: str, complete: str
) -> None:
    """These heads put layers of their own after the map that they inherit."""
    common = dict(in_channels=64, in_index=3, channels=8, num_classes=19, norm_cfg=dict(type='BN'))
    overrides = dict(projection_head=dict(type='ProjectionHead', in_channels=8))
    segmentor_config['decode_head'] = {**common, **head}
    with pytest.raises(ValueError, match=f"skip layers of {skipping}: .*use feature='backbone.-1'"):
        build(segmentor=segmentor_config, feature='decode_head', **overrides)
    build(segmentor=segmentor_config, projection_head=None)  # F_D of the backbone is fine
    segmentor_config['decode_head'] = {**common, 'type': complete}
    build(segmentor=segmentor_config, feature='decode_head', **overrides)


def test_a_plain_batch_in_training_says_what_to_set(build: Callable) -> None:
    with pytest.raises(ValueError, match='CrossDomainDataset'):
        build()(torch.zeros(1, 3, 64, 64), [], mode='loss')


def test_auxiliary_heads_train_on_both_sources(
    build: Callable, batch: dict[str, Any], segmentor_config: dict[str, Any]
) -> None:
    segmentor = segmentor_config
    segmentor['auxiliary_head'] = dict(
        type='FCNHead',
        in_channels=32,
        in_index=2,
        channels=8,
        num_convs=1,
        num_classes=19,
        loss_decode=dict(type='WeightedCrossEntropyLoss', loss_weight=0.4),
    )
    model = build(segmentor=ConfigDict(segmentor))
    losses = losses_of(model, batch)
    assert {'source_day.aux.loss_seg', 'source_night.aux.loss_seg'} <= set(losses)
    total, _ = model.parse_losses(losses)
    total.backward()
    assert all(p.grad is not None for p in model.parameters())


@pytest.mark.parametrize('overrides', [{}, dict(loss_cdc=None, loss_cds=None)])
def test_autocast_keeps_the_correlation_terms_in_float32(
    build: Callable, batch: dict[str, Any], overrides: dict[str, Any]
) -> None:
    """Every parameter keeps its gradient, though some forwards under autocast have no graph."""
    model = build(**overrides)
    with torch.autocast('cpu', dtype=torch.bfloat16):
        losses = losses_of(model, batch)
    for key in (key for key in losses if key.startswith('cross.')):
        assert losses[key].dtype == torch.float32 and torch.isfinite(losses[key])
    model.parse_losses(losses)[0].backward()
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in model.parameters())


def test_one_head_for_both_branches_or_one_each(build: Callable, batch: dict[str, Any]) -> None:
    """Heads of their own start equal, then each learns from its own branch's embeddings."""
    shared, apart = build(), build(share_projection_head=False)
    count = sum(p.numel() for p in shared.projection_head.parameters())
    assert sum(p.numel() for p in apart.projection_head.parameters()) == 2 * count
    night, day = (apart.projection_head[name].state_dict() for name in ('night', 'day'))
    assert all(torch.equal(day[key], night[key]) for key in day)
    first, second = losses_of(shared, batch), losses_of(apart, batch)
    assert {k: v.item() for k, v in first.items()} == {k: v.item() for k, v in second.items()}
    second['cross.loss_cdc_in'].backward()  # in_day, which M_d's embeddings make, is the guide
    assert all(p.grad is None for p in apart.projection_head['day'].parameters())
    assert all(p.grad is not None for p in apart.projection_head['night'].parameters())


def test_the_head_leaves_no_trace_in_the_random_stream(build: Callable) -> None:
    """A row without the head starts from the same weights and draws as one with it."""
    with_head, ahead = build(), torch.rand(4)
    without, alone = build(loss_cdc=None), torch.rand(4)
    assert torch.equal(ahead, alone)
    weights = with_head.state_dict()
    assert all(torch.equal(value, weights[key]) for key, value in without.state_dict().items())
