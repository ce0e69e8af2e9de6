"""SelfTraining in CCDistillSegmentor: values, hand-over, gradients, teachers, processes, export."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.distributed as dist
from domain_batch import domain_batch
from mmengine.config import ConfigDict
from mmengine.model import MMDistributedDataParallel
from mmengine.optim import build_optim_wrapper
from mmengine.registry import init_default_scope
from mmseg.registry import MODELS
from small_ccdistill import small_model
from torch import Tensor, nn
from torch.nn import functional as F

from mmseg_ccdistill.models.self_training.hand_over import HandOver

SELF = dict(type='SelfTraining', lag=3, start=0, ramp=0)
ALONE = dict(loss_cdc=None, loss_cds=None, projection_head=None)


def with_draws(batch: dict[str, Any], seed: int = 5) -> dict[str, Any]:
    generator = torch.Generator().manual_seed(seed)
    for domain in ('target_day', 'target_night'):
        for sample in batch['data_samples'][domain]:
            sample.set_field(torch.rand(19, generator=generator), 'mix_classes')
            sample.set_field(torch.tensor([1.1, 0.9, 1.2, 0.1, 0.5]), 'mix_look')
            sample.set_field(torch.rand(4, 4, generator=generator), 'mix_patches')
    return batch


@pytest.fixture
def drawn(batch: dict[str, Any]) -> dict[str, Any]:
    return with_draws(batch)


def losses_of(model: nn.Module, batch: dict[str, Any]) -> dict[str, Tensor]:
    data = model.data_preprocessor(batch, True)
    torch.manual_seed(3)
    return model(**data, mode='loss')


def opinions_of(own: nn.Module, inputs: dict[str, Tensor]) -> dict[str, Tensor]:
    return {side: own.opinion(side, inputs) for side in own.taught_by}


def shaken(model: nn.Module) -> nn.Module:
    """Sharper heads, different for day and night, so that classes vary."""
    with torch.no_grad():
        for seed, branch in enumerate((model.day, model.night)):
            torch.manual_seed(seed)
            weight = branch.decode_head.conv_seg.weight
            weight.copy_(torch.randn_like(weight) * 5)
    return model


def upsampled(branch: nn.Module, images: Tensor) -> Tensor:
    return F.interpolate(
        branch.decode_head(branch.backbone(images)),
        images.shape[2:],
        mode='bilinear',
        align_corners=True,
    )


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
    things = (labels >= 11).float().mean().item()
    assert losses['night.mix_things'].item() == pytest.approx(things, abs=1e-6)
    # it has taken over: no L_pseudo, and no pass of T_n on its own
    assert losses['target_night.loss_pseudo'] == 0
    assert len(seen) == 2 and torch.equal(seen[1], mixed)


def test_ignored_pixels_count_in_the_mean(build: Callable, drawn: dict[str, Any]) -> None:
    """Weights do not cancel: with nothing to learn on T_n, the loss is that of the pasted share."""
    model = shaken(build(**ALONE, self_training=dict(SELF, pseudo_weight=0.0))).eval()
    pasted = losses_of(model, drawn)['night.loss_mix'].item()
    model = shaken(build(**ALONE, self_training=dict(SELF, pseudo_weight=0.0, paste=None))).eval()
    assert losses_of(model, drawn)['night.loss_mix'].item() == 0.0 < pasted


@pytest.mark.parametrize('fusion', ['mgcda', 'refign', 'night', 'day'])
def test_who_labels_the_night(build: Callable, drawn: dict[str, Any], fusion: str) -> None:
    model = shaken(build(**ALONE, self_training=dict(SELF, fusion=fusion, parallax=0)))
    data = model.data_preprocessor(drawn, True)
    own = model.self_training
    assert set(own.teachers) == ({'night', 'day'} if fusion in ('mgcda', 'refign') else {fusion})
    own.update(model.branches)
    p = own.probabilities('night', opinions_of(own, data['inputs']))
    torch.testing.assert_close(p.sum(1), torch.ones_like(p[:, 0]))
    model.eval()
    with torch.no_grad():
        night, day = (
            branch.decode_head(branch.backbone(data['inputs'][f'target_{light}'])).softmax(1)
            for light, branch in (('night', model.night), ('day', model.day))
        )
    if fusion in ('night', 'day'):
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
    model.parse_losses(losses)[0].backward()
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


def test_masked_pass_by_hand(build: Callable, drawn: dict[str, Any]) -> None:
    own = dict(
        SELF, fusion='night', masked_ratio=0.7, weight=dict(type='PseudoLabelWeight', form='ratio', threshold=0.1)
    )  # fmt: skip
    model = shaken(build(**ALONE, self_training=own)).eval()
    data = model.data_preprocessor(copy.deepcopy(drawn), True)
    loss = losses_of(model, drawn)['night.loss_masked']
    own = model.self_training
    opinions = opinions_of(own, data['inputs'])
    labels, q = own.pseudo_labels('night', opinions, (64, 64))
    images = data['inputs']['source_night'][:1], data['inputs']['target_night'][1:]
    draws = torch.stack([s.mix_patches for s in data['data_samples']['target_night']])
    kept = (draws >= 0.7).repeat_interleave(16, 1).repeat_interleave(16, 2).unsqueeze(1)
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


def test_teachers_stay_in_evaluation_mode(build: Callable) -> None:
    model = build(self_training=SELF)
    model.train()
    assert not any(m.training for t in model.self_training.teachers.values() for m in t.modules())
    assert model.night.training and model.self_training.training


def test_teachers_follow_what_was_loaded(build: Callable, drawn: dict[str, Any]) -> None:
    torch.manual_seed(8)
    plain = MODELS.build(ConfigDict(small_model()['segmentor']))
    model = build(self_training=SELF)
    model.load_state_dict(plain.state_dict(), strict=False)
    losses_of(model, drawn)
    teacher = model.self_training.teachers['night']
    name = 'backbone.conv1.weight'
    assert torch.equal(teacher.state_dict()[name], plain.state_dict()[name])


def test_it_is_in_the_state_dict_and_in_no_export(build: Callable, drawn: dict[str, Any]) -> None:
    model = build(self_training=SELF)
    plain = build()
    losses_of(model, drawn)
    names = {
        name.split('.', 2)[1] for name in model.state_dict() if name.startswith('self_training')
    }
    assert names == {'emas', 'teachers', 'weights'}
    state, left = model.export_branch('night')
    expected, _ = plain.export_branch('night')
    assert state.keys() == expected.keys()
    assert any(name.startswith('self_training.teachers') for name in left)
    assert model.exportable == ('day', 'night')


def test_resumed_from_its_state_dict_it_goes_on_to_the_bit(
    build: Callable, drawn: dict[str, Any]
) -> None:
    own = dict(SELF, learners=('night', 'day'))

    def run(model: nn.Module, optimizer: torch.optim.Optimizer, iterations: range) -> None:
        for iteration in iterations:
            model.set_iteration(iteration, 6)
            total, _ = model.parse_losses(losses_of(model, drawn))
            optimizer.zero_grad()
            total.backward()
            optimizer.step()

    whole = build(self_training=own)
    optimizer = torch.optim.SGD(whole.parameters(), 1e-2, momentum=0.9)
    run(whole, optimizer, range(3))
    saved = copy.deepcopy([whole.state_dict(), optimizer.state_dict()])
    run(whole, optimizer, range(3, 6))
    resumed = build(self_training=own)
    optimizer = torch.optim.SGD(resumed.parameters(), 1e-2, momentum=0.9)
    resumed.load_state_dict(saved[0])
    optimizer.load_state_dict(saved[1])
    run(resumed, optimizer, range(3, 6))
    ours, theirs = whole.state_dict(), resumed.state_dict()
    assert all(torch.equal(value, theirs[name]) for name, value in ours.items())
    assert ours['self_training.emas.day.updates'] == 6
    assert not torch.equal(ours['self_training.weights.night.thresholds'], torch.full((19,), 0.5))


@pytest.mark.parametrize('fusion', ['mgcda', 'refign'])
def test_no_value_is_read(model_config: dict[str, Any], fusion: str) -> None:
    own = dict(
        SELF, learners=('night', 'day'), fusion=fusion, augment=True, masked_ratio=0.7, paste='half+things'
    )  # fmt: skip
    model = MODELS.build(ConfigDict(dict(model_config, self_training=own))).to('meta')
    model.diagnostics_interval = 0
    batch = with_draws(domain_batch())
    images = {d: torch.empty(2, 3, 64, 64, device='meta') for d in batch['inputs']}
    samples = {d: [s.to('meta') for s in part] for d, part in batch['data_samples'].items()}
    losses = model(images, samples, mode='loss')
    sum(value for name, value in losses.items() if 'loss' in name).backward()
    assert {'night.loss_mix', 'day.loss_mix', 'night.loss_masked'} <= set(losses)


OPTIM = dict(optimizer=dict(type='SGD', lr=1e-2, momentum=0.9))


def _build_two() -> nn.Module:
    init_default_scope('mmseg')
    torch.manual_seed(0)
    own = dict(SELF, learners=('night', 'day'))
    model = MODELS.build(ConfigDict(small_model(self_training=own)))
    model.init_weights()
    return model.eval()  # no dropout, no batch statistics of one process


def _two_steps(rank: int, folder: str) -> None:
    torch.set_num_threads(1)
    init = f'file://{folder}/rendezvous'
    dist.init_process_group('gloo', init_method=init, rank=rank, world_size=2)
    wrapped = MMDistributedDataParallel(_build_two())
    wrapper = build_optim_wrapper(wrapped, ConfigDict(copy.deepcopy(OPTIM)))
    for iteration in range(2):
        wrapped.module.set_iteration(iteration, 2)
        batch = with_draws(domain_batch(seed=10 * rank + iteration), seed=rank)
        data = wrapped.module.data_preprocessor(batch, True)
        total, _ = wrapped.module.parse_losses(wrapped(**data, mode='loss'))
        wrapper.update_params(total)
    torch.save(wrapped.module.state_dict(), f'{folder}/{rank}.pt')
    dist.destroy_process_group()


def test_two_processes_have_equal_students_teachers_and_thresholds(tmp_path: Path) -> None:
    torch.multiprocessing.spawn(_two_steps, (str(tmp_path),), nprocs=2)
    first, second = (torch.load(tmp_path / f'{r}.pt', weights_only=True) for r in (0, 1))
    assert all(torch.equal(value, second[name]) for name, value in first.items())
    assert first['self_training.emas.night.updates'] == 2
    start = np.full(19, 0.5)
    for light in ('night', 'day'):
        assert not np.array_equal(first[f'self_training.weights.{light}.thresholds'].numpy(), start)


@pytest.mark.parametrize(
    ('change', 'sentence'),
    [
        (
            dict(learners=()),
            "learners must be some of ('night', 'day'), got (); for none set self_training=None.",
        ),
        (
            dict(learners=('dusk',)),
            "learners must be some of ('night', 'day'), got ('dusk',); for none set self_training=None.",
        ),
        (
            dict(fusion='mean'),
            "fusion must be one of ('mgcda', 'refign', 'night', 'day'), got 'mean'.",
        ),
        (
            dict(paste='all'),
            "paste must be one of ('half', 'things', 'half+things') or None, got 'all'.",
        ),
        (dict(parallax=-1), 'parallax counts cells, expected an integer from 0 on, got -1.'),
        (
            dict(masked_ratio=1.0),
            'masked_ratio must be at least 0 and below 1, got 1.0; None: no masked pass.',
        ),
        (dict(pseudo_weight=-1), 'pseudo_weight must not be negative, got -1.'),
        (
            dict(loss_weight=0),
            'loss_weight must be positive, got 0; to turn it off set self_training=None.',
        ),
        (
            dict(start=1.5),
            'expected start as iterations (an integer from 0 on) or as a share of the run (a float between 0 and 1, '
            'e.g. 0.15), got 1.5.',
        ),
        (
            dict(classes=('road', 'car'), static_classes=('road',)),
            'it knows 2 classes, but the decode head has 19: set model.self_training.classes to the names of those '
            'of the data.',
        ),
        (
            dict(static_classes=('river',), classes=('road', 'car')),
            "static_classes must be distinct names out of ['road', 'car'], got ['river'].",
        ),
        (
            dict(class_weight=[1.0, 2.0]),
            'class_weight has 2 weights, but classes names 19: give one weight per class, or None.',
        ),
        (
            dict(weight=dict(type='PseudoLabelWeight', num_classes=7)),
            'weight.num_classes is 7, but classes names 19: expected equal numbers; take weight.num_classes out.',
        ),
    ],
)
def test_mistakes_end_at_build(build: Callable, change: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValueError) as caught:
        build(self_training=dict(SELF, **change) if 'start' not in change else {**SELF, **change})
    assert str(caught.value) == f'SelfTraining: {sentence}'


def test_samples_without_draws_say_what_to_add(build: Callable, batch: dict[str, Any]) -> None:
    with pytest.raises(ValueError) as caught:
        losses_of(build(self_training=SELF), batch)
    assert str(caught.value) == (
        'SelfTraining: the samples of the target have no mix_classes: expected the random numbers of the mixing; add '
        "dict(type='DrawMixing') before PackCrossDomainInputs to train_dataloader.dataset.pipeline."
    )


def test_a_start_that_nobody_can_tell_is_an_error(build: Callable, drawn: dict[str, Any]) -> None:
    with pytest.raises(ValueError) as caught:
        losses_of(build(self_training={**SELF, 'start': 10}), drawn)
    assert str(caught.value) == (
        'SelfTraining: start=10 and ramp=0 need the number of the iteration, which nobody tells: add '
        "dict(type='DeferredInfoHook') as default_hooks.runtime_info, or set both to 0."
    )


def test_a_start_behind_the_end_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    told_words: list[str] = []
    monkeypatch.setattr(
        'mmseg_ccdistill.models.self_training.hand_over.print_log',
        lambda text, **_: told_words.append(text),
    )
    for start, told in ((40, True), (50, True), (39, False), (0.9, False)):
        told_words.clear()
        hand_over = HandOver(start, 0)
        for iteration in (0, 1):
            hand_over.set_iteration(iteration, 40)
        expected = (
            f'SelfTraining: start={start}, but the run has 40 iterations, so self-training never begins: give start '
            'as a share of the run, e.g. 0.15, or a lower number.'
        )
        assert told_words == [expected] * told


def test_one_image_has_no_half_for_the_masked_pass(build: Callable) -> None:
    batch = with_draws(domain_batch(size=1))
    model = build(**ALONE, self_training=dict(SELF, masked_ratio=0.7)).eval()
    with pytest.raises(ValueError) as caught:
        losses_of(model, batch)
    assert 'expected train_dataloader.batch_size of at least 2, got 1' in str(caught.value)


@pytest.mark.parametrize('start', [0, 0.5])
def test_crops_of_two_sizes_are_refused(
    build: Callable, drawn: dict[str, Any], start: float
) -> None:
    """In the first iteration, also where self-training begins later."""
    model = build(**ALONE, self_training={**SELF, 'start': start}).eval()
    model.self_training.set_iteration(0, 10)
    data = model.data_preprocessor(drawn, True)
    for domain in ('target_day', 'target_night'):
        data['inputs'][domain] = data['inputs'][domain][..., :48]
    with pytest.raises(ValueError) as caught:
        model(**data, mode='loss')
    assert str(caught.value) == (
        'SelfTraining: source_night is (64, 64) pixels and target_night (64, 48): expected one size, because one is '
        'pasted into the other; give both pipelines of train_dataloader.dataset one crop size.'
    )
