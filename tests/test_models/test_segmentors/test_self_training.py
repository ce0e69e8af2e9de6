"""SelfTraining in CCDistillSegmentor: values, hand-over, gradients, the masked pass."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
from self_training_model import (
    ALONE,
    SELF,
    losses_of,
    opinions_of,
    shaken,
    upsampled,
)
from torch import Tensor, nn
from torch.nn import functional as F


def test_off_by_default_it_leaves_no_trace(build: Callable, batch: dict[str, Any]) -> None:
    plain, ours = build(), build(self_training=SELF)
    assert plain.self_training is None
    for name, value in plain.state_dict().items():
        assert torch.equal(ours.state_dict()[name], value), name
    assert not any('self_training' in name for name in plain.state_dict())
    assert {n for n, _ in plain.named_parameters()} == {n for n, _ in ours.named_parameters()}


@pytest.mark.parametrize('paste', ['half', 'things', None])
def test_night_loss_by_hand(build: Callable, drawn: dict[str, Any], paste: str | None) -> None:
    """M_n alone labels T_n with its confidence; equal student and teacher at the first step."""
    own = dict(SELF, fusion='night', weight=dict(type='PseudoLabelWeight', form='confidence'))
    model = shaken(build(**ALONE, self_training=dict(own, paste=paste))).eval()
    data = model.data_preprocessor(copy.deepcopy(drawn), True)
    seen: list[Tensor] = []
    hook = model.night.backbone.register_forward_pre_hook(lambda module, args: seen.append(args[0]))
    losses = losses_of(model, drawn)
    hook.remove()
    source, target = data['inputs']['source_night'], data['inputs']['target_night']
    true = torch.cat([s.gt_sem_seg.data for s in data['data_samples']['source_night']])
    low = model.night.decode_head(model.night.backbone(target)).softmax(1)
    p = F.interpolate(low, (64, 64), mode='bilinear', align_corners=True)
    q, labels = p.max(1)
    mask = torch.zeros_like(true, dtype=torch.bool)
    for i, sample in enumerate(data['data_samples']['target_night']):
        present = true[i].unique()
        if paste == 'things':
            chosen = present[present >= 11]
        else:
            u = sample.mix_classes[present]
            chosen = present[u.argsort(descending=True)[: (len(present) + 1) // 2]]
        mask[i] = torch.isin(true[i], chosen) if paste else False
    assert 0 < mask.float().mean() < 1 or paste is None
    mixed = torch.where(mask.unsqueeze(1), source, target)
    logits = upsampled(model.night, mixed)
    loss = F.cross_entropy(logits, torch.where(mask, true, labels), reduction='none')
    expected = (loss * torch.where(mask, torch.ones_like(q), q)).sum() / (2 * 64 * 64)
    assert losses['night.loss_mix'].item() == pytest.approx(expected.item(), rel=1e-5)
    assert losses['night.mix_weight'].item() == pytest.approx(q.mean().item(), rel=1e-5)
    sure = low.max(1).values.mean().item()
    assert losses['night.mix_confidence'].item() == pytest.approx(sure, rel=1e-5)
    things = (labels >= 11).float().mean().item()
    assert losses['night.mix_things'].item() == pytest.approx(things, abs=1e-6)
    # it has taken over: no L_pseudo, and no pass of T_n on its own
    assert losses['target_night.loss_pseudo'] == 0
    assert len(seen) == 2 and torch.equal(seen[1], mixed)


def test_confidence_tells_a_teacher_that_believes_all(
    build: Callable, drawn: dict[str, Any]
) -> None:
    """Class-wise quantiles move with the teacher: however sure it is, it keeps about the same share."""
    model = shaken(build(**ALONE, self_training=dict(SELF, fusion='night'))).eval()
    found = []
    for factor in (0.05, 100):
        with torch.no_grad():
            model.night.decode_head.conv_seg.weight.mul_(factor)
        model.self_training.emas.night.updates.zero_()  # the teacher is a copy again
        for _ in range(30):
            losses = losses_of(model, copy.deepcopy(drawn))
            model.self_training.emas.night.updates.zero_()
        found.append([losses[f'night.mix_{part}'].item() for part in ('weight', 'confidence')])
    assert found[0][1] < 0.5 and found[1][1] > 0.9
    assert all(weight < 0.8 for weight, _ in found)


def test_ignored_pixels_count_in_the_mean(build: Callable, drawn: dict[str, Any]) -> None:
    """Weights do not cancel: with nothing to learn on T_n, the loss is that of the pasted share."""
    model = shaken(build(**ALONE, self_training=dict(SELF, pseudo_weight=0.0))).eval()
    pasted = losses_of(model, drawn)['night.loss_mix'].item()
    model = shaken(build(**ALONE, self_training=dict(SELF, paste=None))).eval()
    model.self_training.pseudo_weight = 0.0  # not accepted together: nothing is left to learn from
    assert losses_of(model, drawn)['night.loss_mix'].item() == 0.0 < pasted


@pytest.mark.parametrize('fusion', ['mgcda', 'refign', 'night', 'day'])
def test_who_labels_the_night(build: Callable, drawn: dict[str, Any], fusion: str) -> None:
    alone = fusion in ('night', 'day')
    settings = dict(SELF, fusion=fusion, parallax=None if alone else 0)
    model = shaken(build(**ALONE, self_training=settings))
    data = model.data_preprocessor(drawn, True)
    own = model.self_training
    assert set(own.teachers) == ({fusion} if alone else {'night', 'day'})
    own.update(model.branches)
    p = own.probabilities('night', opinions_of(own, data['inputs']))
    torch.testing.assert_close(p.sum(1), torch.ones_like(p[:, 0]))
    model.eval()
    with torch.no_grad():
        night, day = (
            branch.decode_head(branch.backbone(data['inputs'][f'target_{light}'])).softmax(1)
            for light, branch in (('night', model.night), ('day', model.day))
        )
    if alone:
        torch.testing.assert_close(p, night if fusion == 'night' else day)
    else:  # between the two
        assert (
            (p >= torch.minimum(night, day) - 1e-6) | (p <= torch.maximum(night, day) + 1e-6)
        ).all()
        assert not torch.allclose(p, night) and not torch.allclose(p, day)


def test_the_day_is_searched_for_the_cell_that_agrees(build: Callable) -> None:
    """The day sees the night's scene one cell to the right: inside, each cell finds it."""
    model = build(**ALONE, self_training=dict(SELF, fusion='refign', parallax=1))
    own = model.self_training
    night = F.one_hot(torch.randint(0, 19, (1, 6, 6)), 19).permute(0, 3, 1, 2).float() * 20
    day = night.roll(1, 3)
    for name, logits in (('night', night), ('day', day)):
        teacher = own.teachers[name]
        teacher.extract_feat = lambda images: images
        teacher.decode_head.forward = lambda maps, logits=logits: logits
    inputs = dict(target_night=night, target_day=day)
    fused = own.probabilities('night', opinions_of(own, inputs))
    assert torch.equal(fused.argmax(1), night.argmax(1))
    assert fused[..., :-1].max(1).values.min() > 0.99


def test_each_teacher_predicts_once_and_nothing_changes(
    build: Callable, drawn: dict[str, Any]
) -> None:
    """M_d' is heard by both learners: their losses are those of each learner alone, to the last bit."""
    runs, passes = {}, []
    for learners in (('night', 'day'), ('night',), ('day',)):
        model = shaken(build(**ALONE, self_training=dict(SELF, learners=learners))).eval()
        for name, teacher in model.self_training.teachers.items():
            teacher.backbone.register_forward_hook(
                lambda *_, key=(learners, name): passes.append(key)
            )
        runs[learners] = losses_of(model, copy.deepcopy(drawn))
    both = runs['night', 'day']
    assert passes == [
        *((('night', 'day'), 'night'), (('night', 'day'), 'day')),
        *((('night',), 'night'), (('night',), 'day')),
        (('day',), 'day'),
    ]
    for light in ('night', 'day'):
        for key in ('loss_mix', 'mix_weight', 'mix_things'):
            assert torch.equal(both[f'{light}.{key}'], runs[light,][f'{light}.{key}'])
        assert both[f'{light}.loss_mix'] > 0


def test_hand_over(build: Callable, drawn: dict[str, Any]) -> None:
    model = build(self_training=dict(SELF, start=0.2, ramp=20)).eval()
    found = {}
    for iteration in (0, 19, 20, 25, 40, 99):
        model.set_iteration(iteration, 100)
        losses = losses_of(model, drawn)
        found[iteration] = (
            losses.get('night.loss_mix'), losses.get('target_night.loss_pseudo')
        )  # fmt: skip
    reference = losses_of(build().eval(), drawn)['target_night.loss_pseudo']
    assert found[0][0] is None and found[20][0] is None
    assert found[25][0] is not None and found[40][1] == found[99][1] == 0
    torch.testing.assert_close(found[0][1], reference)
    torch.testing.assert_close(found[25][1], 0.75 * reference)
    model = build(self_training=dict(SELF, start=0, ramp=20, keep_pseudo=True)).eval()
    model.set_iteration(5, 100)
    torch.testing.assert_close(losses_of(model, drawn)['target_night.loss_pseudo'], reference)


def test_weight_of_l_mix_rises(build: Callable, drawn: dict[str, Any]) -> None:
    values = {}
    for iteration in (5, 20):
        model = shaken(build(self_training=dict(SELF, ramp=20))).eval()
        model.set_iteration(iteration, 100)
        values[iteration] = losses_of(model, drawn)['night.loss_mix']
    torch.testing.assert_close(values[5], 0.25 * values[20])


def owners(model: nn.Module, term: Tensor) -> set[str]:
    model.zero_grad()
    term.backward(retain_graph=True)
    return {
        '.'.join(name.split('.')[:2])
        for name, p in model.named_parameters()
        if p.grad is not None and p.grad.any()
    }


def test_which_network_a_term_trains(build: Callable, drawn: dict[str, Any]) -> None:
    own = dict(SELF, learners=('night', 'day'), masked_ratio=0.5, augment=True)
    model = build(**ALONE, self_training=own)
    losses = losses_of(model, drawn)
    for light in ('night', 'day'):
        for term in ('mix', 'masked'):
            found = owners(model, losses[f'{light}.loss_{term}'])
            assert found == {f'{light}.backbone', f'{light}.decode_head'}
    assert not any(p.requires_grad for p in model.self_training.parameters())
    assert list(model.self_training.parameters()) == []
    model.zero_grad()
    model.parse_losses(losses_of(model, drawn))[0].backward()
    assert [name for name, p in model.named_parameters() if p.grad is None] == []


@pytest.mark.parametrize('self_training', [SELF, dict(SELF, learners=('day',))])
@pytest.mark.parametrize(
    'more', [{}, ALONE, dict(ALONE, loss_pseudo=None), dict(teacher_mode='eval')]
)
def test_every_parameter_gets_a_gradient(
    build: Callable, drawn: dict[str, Any], self_training: dict, more: dict
) -> None:
    model = build(**more, self_training=self_training)
    assert set(model.domains) == {'source_day', 'source_night', 'target_day'} | (
        {'target_night'} if 'night' in self_training.get('learners', ('night',)) or more.get(
            'loss_pseudo', {}) is not None else set()
    )  # fmt: skip
    model.parse_losses(losses_of(model, drawn))[0].backward()
    assert [name for name, p in model.named_parameters() if p.grad is None] == []


@pytest.mark.parametrize('ratio', [0.7, 0.0])
def test_masked_pass_by_hand(build: Callable, drawn: dict[str, Any], ratio: float) -> None:
    """With nothing hidden it is the plain cross-entropy of the pseudo labels, and of the source."""
    own = dict(
        SELF, fusion='night', masked_ratio=ratio, weight=dict(type='PseudoLabelWeight', form='ratio', threshold=0.1)
    )  # fmt: skip
    model = shaken(build(**ALONE, self_training=own)).eval()
    data = model.data_preprocessor(copy.deepcopy(drawn), True)
    loss = losses_of(model, drawn)['night.loss_masked']
    own = model.self_training
    p = own.probabilities('night', opinions_of(own, data['inputs']))
    labels, q = own.pseudo_labels('night', p, (64, 64))
    images = data['inputs']['source_night'][:1], data['inputs']['target_night'][1:]
    draws = torch.stack([s.mix_patches for s in data['data_samples']['target_night']])
    kept: Any = 1
    if ratio:
        kept = (draws >= ratio).repeat_interleave(16, 1).repeat_interleave(16, 2).unsqueeze(1)
    true = data['data_samples']['source_night'][0].gt_sem_seg.data
    logits = upsampled(model.night, torch.cat(images) * kept)
    pixels = F.cross_entropy(logits, torch.cat([true, labels[1:]]), reduction='none')
    expected = (pixels * torch.cat([torch.ones_like(q[:1]), q[1:]])).mean()
    assert loss.item() == pytest.approx(expected.item(), rel=1e-5)


def test_the_mixed_image_changes_its_look_on_demand(build: Callable, drawn: dict[str, Any]) -> None:
    own = dict(SELF, weight=dict(type='PseudoLabelWeight', form='confidence'))
    plain, ours = (
        shaken(build(**ALONE, self_training=dict(own, augment=flag))).eval()
        for flag in (False, True)
    )
    values = [losses_of(model, drawn)['night.loss_mix'].item() for model in (plain, ours)]
    assert abs(values[0] - values[1]) > 1e-4
    for sample in drawn['data_samples']['target_night']:
        sample.mix_look = torch.tensor([1.0, 1, 1, 0, 0])
    assert losses_of(ours, drawn)['night.loss_mix'].item() == pytest.approx(values[0], rel=1e-6)
