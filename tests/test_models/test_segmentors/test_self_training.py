"""SelfTraining in CCDistillSegmentor: values, hand-over, gradients, teachers, processes, export."""

from __future__ import annotations

import copy
import math
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
from mmengine.optim import OptimWrapper, build_optim_wrapper
from mmengine.registry import init_default_scope
from mmseg.registry import MODELS
from small_ccdistill import small_model
from torch import Tensor, nn
from torch.nn import functional as F

from benchmarks.step_cost import saved_for_backward
from mmseg_ccdistill.models.self_training import self_training as self_training_file
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
    model = shaken(build(**ALONE, self_training=dict(SELF, pseudo_weight=0.0, paste=None))).eval()
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


#: Four passes: of each learner a mixed and a masked one.
PASSES = dict(SELF, learners=('night', 'day'), masked_ratio=0.5, augment=True)


def kept_at_once(model: nn.Module, batch: dict[str, Any]) -> int:
    with saved_for_backward(model) as kept:
        losses_of(model, copy.deepcopy(batch))
    return kept.most


@pytest.mark.parametrize('more', [ALONE, {}], ids=['alone', 'matched'])
def test_the_maps_of_one_pass_are_kept_at_a_time(
    build: Callable, drawn: dict[str, Any], more: dict[str, Any]
) -> None:
    none, one, four = (
        kept_at_once(build(**more, self_training=own).train(), drawn)
        for own in (None, SELF, PASSES)
    )
    assert none < one
    assert four - none < 1.05 * (one - none)


def _with_graph(
    losses: Callable[[list[Tensor]], dict[str, Tensor]], maps: list[Tensor], weights: Any
) -> dict[str, Tensor]:
    """In the place of ``early_backward``."""
    return losses(maps)


def after_two_steps(
    build: Callable, accumulated: int = 1, frozen: str = 'none', **settings: Any
) -> dict[str, Tensor]:
    """All that was logged and the state, after two steps of SGD in training mode."""
    model = build(**{'self_training': PASSES, **settings}).train()
    for name, weight in model.named_parameters():
        weight.requires_grad_(frozen not in name)
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-2, momentum=0.9)
    wrapper = OptimWrapper(optimizer, accumulative_counts=accumulated)
    found: dict[str, Tensor] = {}
    for iteration in range(2 * accumulated):
        model.set_iteration(iteration, 2 * accumulated)
        batch = with_draws(domain_batch(seed=iteration), iteration)
        total, log = model.parse_losses(losses_of(model, batch))
        wrapper.update_params(total)
        found |= {f'{iteration}: {name}': value for name, value in log.items()}
    return found | model.state_dict()  # weights, statistics, teachers, thresholds


@pytest.mark.parametrize(
    'settings',
    [
        {},
        dict(early_decoder_backward=True),
        dict(recompute=('ChainedResidualPooling', 'BasicBlock')),
        dict(accumulated=2),
        dict(frozen='backbone.layer1'),
        dict(self_training=dict(PASSES, ramp=3)),
    ],
    ids=['plain', 'early decoders', 'recomputed', 'accumulated', 'frozen', 'ramp'],
)
def test_passes_that_go_backward_early_are_bit_equal(
    build: Callable, monkeypatch: pytest.MonkeyPatch, settings: dict[str, Any]
) -> None:
    early = after_two_steps(build, **settings)
    monkeypatch.setattr(self_training_file, 'early_backward', _with_graph)
    plain = after_two_steps(build, **settings)
    assert early.keys() == plain.keys() and '1: day.loss_masked' in early
    for name, value in plain.items():
        assert torch.equal(value, early[name]), name


def test_in_bfloat16_gradients_of_the_passes_sum_in_float32(
    build: Callable, drawn: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Autocast shares its copy of a weight: plainly, the gradients of all passes are added in bfloat16."""
    found = []
    for losses_at in (self_training_file.early_backward, _with_graph):
        monkeypatch.setattr(self_training_file, 'early_backward', losses_at)
        model = build(self_training=PASSES).train()
        with torch.autocast('cpu', torch.bfloat16):
            total, log = model.parse_losses(losses_of(model, copy.deepcopy(drawn)))
        total.backward()
        found.append((list(log.values()), {name: p.grad for name, p in model.named_parameters()}))
    (values, early), (again, plain) = found
    assert all(map(torch.equal, values, again))
    for name, gradient in plain.items():
        assert (gradient - early[name]).norm() <= 2**-6 * gradient.norm(), (
            name
        )  # bfloat16 has 8 bits


def test_in_float16_a_pass_keeps_its_graph(
    build: Callable, drawn: dict[str, Any], half_dtype: torch.dtype
) -> None:
    """A loss scaler comes before the backward pass: what went backward earlier has lost its small gradients."""
    data = build(**ALONE).data_preprocessor(drawn, True)
    kept = []
    for own in (SELF, PASSES):
        model = build(**ALONE, self_training=own).train()
        with torch.autocast('cpu', half_dtype), saved_for_backward(model) as saved:
            losses = model(**data, mode='loss')
        kept.append(saved.now)
        (2.0**20 * losses['night.loss_mix']).backward()
        assert model.night.backbone.conv1.weight.grad.any()
    assert (kept[1] > 1.5 * kept[0]) == (half_dtype is torch.float16)


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
    model = MODELS.build(ConfigDict(small_model(self_training=PASSES)))
    model.init_weights()
    return model.eval()  # no dropout, no batch statistics of one process


def _two_steps(rank: int, folder: str) -> None:
    torch.set_num_threads(1)
    init = f'file://{folder}/rendezvous'
    dist.init_process_group('gloo', init_method=init, rank=rank, world_size=2)
    states = []
    for losses_at in (self_training_file.early_backward, _with_graph):
        self_training_file.early_backward = losses_at
        wrapped = MMDistributedDataParallel(_build_two())
        wrapper = build_optim_wrapper(wrapped, ConfigDict(copy.deepcopy(OPTIM)))
        for iteration in range(2):
            wrapped.module.set_iteration(iteration, 2)
            batch = with_draws(domain_batch(seed=10 * rank + iteration), seed=rank)
            data = wrapped.module.data_preprocessor(batch, True)
            total, _ = wrapped.module.parse_losses(wrapped(**data, mode='loss'))
            wrapper.update_params(total)
        states.append(wrapped.module.state_dict())
    torch.save(states, f'{folder}/{rank}.pt')
    dist.destroy_process_group()


def test_two_processes_have_equal_students_teachers_and_thresholds(tmp_path: Path) -> None:
    """They do, to the last bit, whether the passes go backward early or with the rest."""
    torch.multiprocessing.spawn(_two_steps, (str(tmp_path),), nprocs=2)
    (first, plain), others = (torch.load(tmp_path / f'{r}.pt', weights_only=True) for r in (0, 1))
    for state in (plain, *others):
        assert all(torch.equal(value, state[name]) for name, value in first.items())
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
        *(
            (dict(pseudo_weight=w), f'pseudo_weight must be a number from 0 on, got {w!r}.')
            for w in (-1, math.nan, math.inf, 'x')
        ),
        *(
            (
                dict(loss_weight=w),
                f'loss_weight must be a positive number, got {w!r}; to turn it off set self_training=None.',
            )
            for w in (0, math.nan, math.inf, 'x')
        ),
        (
            dict(masked_ratio='x'),
            "masked_ratio must be at least 0 and below 1, got 'x'; None: no masked pass.",
        ),
        (
            dict(learners=5),
            "learners must be some of ('night', 'day'), got 5; for none set self_training=None.",
        ),
        *(
            (
                dict(fusion=fusion, parallax=1),
                f'parallax=1 has no effect with fusion={fusion!r}, which asks one teacher alone: set '
                "model.self_training.parallax=None, or fusion='mgcda' or 'refign'.",
            )
            for fusion in ('night', 'day')
        ),
        *(
            (
                dict(learners=('day',), **unread),
                f"{have} no effect with learners=('day',), because M_d hears its own teacher alone and L_pseudo is of "
                f"M_n: set {fix} in model.self_training, or add 'night' to learners.",
            )
            for unread, have, fix in (
                (dict(fusion='mgcda'), "fusion='mgcda' has", 'fusion=None'),
                (dict(parallax=0), 'parallax=0 has', 'parallax=None'),
                (dict(keep_pseudo=True), 'keep_pseudo=True has', 'keep_pseudo=False'),
                (
                    dict(fusion='day', parallax=1),
                    "fusion='day' and parallax=1 have",
                    'fusion=None and parallax=None',
                ),
            )
        ),
        (
            dict(ignore_index=254),
            'ignore_index is 254, but that of the decode head is 255: expected equal numbers, because both read the '
            'labels of the source; set model.self_training.ignore_index=255.',
        ),
        (
            dict(weight='ratio'),
            "weight must be the settings of a PseudoLabelWeight, e.g. dict(form='ratio'), or None, got 'ratio'.",
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


def test_the_form_of_the_weight_is_enough(build: Callable) -> None:
    model = build(self_training=dict(SELF, weight=dict(form='confidence')))
    assert model.self_training.weights['night'].form == 'confidence'


def test_what_was_not_given_has_its_default(build: Callable) -> None:
    own = build(self_training=SELF).self_training
    assert (own.fusion, own.parallax, own.keep_pseudo) == ('mgcda', 1, False)
    nothing = dict(fusion=None, parallax=None)
    for learners in (('day',), ('night', 'day')):
        again = build(self_training=dict(SELF, learners=learners, **nothing)).self_training
        assert (again.fusion, again.parallax) == ('mgcda', 1) and not again.keep_pseudo


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


@pytest.mark.parametrize(
    ('start', 'ramp', 'told'),
    [
        *((start, ramp, 'begins') for start in (40, 50) for ramp in (0, 10)),
        *((start, 0, None) for start in (39, 0.9, 0)),
        *((20, ramp, 'takes over') for ramp in (20, 30, 0.5)),
        *((0.5, ramp, 'takes over') for ramp in (20, 0.9)),
        *((20, ramp, None) for ramp in (19, 0.25)),
    ],
)
def test_a_hand_over_that_the_run_does_not_reach_is_told(
    monkeypatch: pytest.MonkeyPatch, start: float, ramp: float, told: str | None
) -> None:
    told_words: list[str] = []
    monkeypatch.setattr(
        'mmseg_ccdistill.models.self_training.hand_over.print_log',
        lambda text, **_: told_words.append(text),
    )
    hand_over = HandOver(start, ramp)
    for iteration in range(40):
        hand_over.set_iteration(iteration, 40)
    assert (hand_over.share < 1) == bool(told)
    sentences = {
        None: [],
        'begins': [
            f'SelfTraining: start={start}, but the run has 40 iterations, so self-training never begins: give start '
            'as a share of the run, e.g. 0.15, or a lower number.'
        ],
        'takes over': [
            f'SelfTraining: start={start} and ramp={ramp}, but the run has 40 iterations, so L_mix never has its '
            'whole weight: give both as shares of the run, e.g. 0.15, or lower numbers.'
        ],
    }
    assert told_words == sentences[told]


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
