from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.distributed as dist
from golden_maps import fill, normal
from mmengine.optim import OptimWrapper, PolyLR, build_optim_wrapper
from mmengine.registry import init_default_scope
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional as F
from two_ranks import run_two_ranks

from mmseg_ccdistill.models.discriminators import OutputDiscriminator
from mmseg_ccdistill.models.losses import adversarial_loss, discriminator_loss, self_information
from mmseg_ccdistill.runtime import JointOptimizer
from mmseg_ccdistill.runtime.gradient_guard import GradientGuard

#: Losses of three steps (cross-entropy, adversarial, discriminator), then sum and sum of absolute values of G and of D.
#: AdaptSegNet's public update in its own order: gradients of G and of D from one state, then both steps.
BCE = (
    (
        (3.190572921, 0.7435509342, 0.6930080575),
        (3.1894652, 0.6790742941, 0.6857920028),
        (3.187385866, 0.6722090106, 0.6798994381),
    ),
    (0.395965898153, 74.3743675345, -60.69397577, 39668.3948542),
)
LEAST_SQUARES = (
    (
        (3.190572921, 0.01155718322, 0.4128475803),
        (3.189465613, 0.1075382965, 0.2820585979),
        (3.187384685, 0.2942990685, 0.2498006091),
    ),
    (0.395910913914, 74.3742865486, -59.696451073, 39668.504616),
)
ADVENT = (
    (
        (3.190572921, 0.7417636827, 0.6941792253),
        (3.189466273, 0.660030775, 0.6914138782),
        (3.187389115, 0.6578587908, 0.6893039392),
    ),
    (0.396021600372, 74.3745487438, -61.3374480594, 39666.6752257),
)


def probabilities(logits: Tensor) -> Tensor:
    return logits.softmax(1)


class Toy(nn.Module):
    """One step of output-space adversarial adaptation, all losses in one sum."""

    def __init__(
        self, form: str = 'vanilla', seen: Callable[[Tensor], Tensor] = probabilities
    ) -> None:
        super().__init__()
        self.night = fill(
            nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(), nn.Conv2d(8, 19, 1)), 50
        )
        self.discriminators = fill(OutputDiscriminator(), 0)
        self.form, self.seen = form, seen

    def forward(self, source: Tensor, target: Tensor, labels: Tensor) -> dict[str, Tensor]:
        logits = self.night(source)
        p_source, p_target = self.seen(logits), self.seen(self.night(target))
        constant = {name: p.detach() for name, p in self.discriminators.named_parameters()}
        misled = functional_call(self.discriminators, constant, (p_target,))
        own = [self.discriminators(p.detach()) for p in (p_source, p_target)]
        return {
            'seg': F.cross_entropy(logits, labels, ignore_index=255),
            'adv': adversarial_loss(misled, self.form),
            'dis': discriminator_loss(*own, self.form),
        }


OPTIM = dict(
    constructor='JointOptimWrapperConstructor',
    optimizer=dict(
        night=dict(type='SGD', lr=1e-2, momentum=0.9, weight_decay=5e-4),
        discriminators=dict(type='Adam', lr=1e-4, betas=(0.9, 0.99)),
    ),
)


def toy_batch() -> tuple[Tensor, Tensor, Tensor]:
    labels = torch.from_numpy(np.random.RandomState(4002).randint(0, 19, (1, 64, 96)))
    labels[:, :8] = 255
    return normal(4000, 1, 3, 64, 96), normal(4001, 1, 3, 64, 96), labels


def wrapper_of(model: nn.Module, **changes: Any) -> OptimWrapper:
    init_default_scope('mmseg')
    return build_optim_wrapper(model, {**copy.deepcopy(OPTIM), **changes})


def total(losses: dict[str, Tensor]) -> Tensor:
    return losses['seg'] + 0.1 * losses['adv'] + losses['dis']


def checksums(*modules: nn.Module) -> list[float]:
    values = []
    for module in modules:
        flat = torch.cat([p.detach().flatten() for p in module.parameters()])
        values += [flat.sum().item(), flat.abs().sum().item()]
    return values


@pytest.mark.parametrize(
    ('toy', 'expected'),
    [
        (Toy(), BCE),
        (Toy('least_squares'), LEAST_SQUARES),
        (Toy(seen=self_information), ADVENT),
    ],
    ids=['bce', 'ls', 'AdvEnt'],
)
def test_three_steps_of_an_adversarial_toy(toy: Toy, expected: tuple) -> None:
    """One backward pass, one step of everything: what the public two-optimizer order gives."""
    model = copy.deepcopy(toy)
    wrapper = wrapper_of(model)
    schedule = PolyLR(wrapper, power=0.9, eta_min=0.0, begin=0, end=251, by_epoch=False)
    batch = toy_batch()
    for row in expected[0]:
        losses = model(*batch)
        assert [losses[k].item() for k in ('seg', 'adv', 'dis')] == pytest.approx(row, rel=1e-9)
        wrapper.update_params(total(losses))
        schedule.step()
    assert checksums(model.night, model.discriminators) == pytest.approx(expected[1], rel=1e-9)


def test_schedules_reach_every_part() -> None:
    wrapper = wrapper_of(Toy())
    assert wrapper.get_lr()['lr'] == [1e-2, 1e-4]
    schedule = PolyLR(wrapper, power=0.9, eta_min=0.0, begin=0, end=251, by_epoch=False)
    for _ in range(100):
        wrapper.step()
        schedule.step()
    factor = (1 - 100 / 250) ** 0.9
    parts = wrapper.optimizer.parts
    for name, rate in (('night', 1e-2), ('discriminators', 1e-4)):
        assert parts[name].param_groups[0]['lr'] == pytest.approx(rate * factor)
    assert wrapper.get_lr()['base_lr'] == [pytest.approx(1e-2 * factor)]  # it is scheduled, too


def test_state_goes_around_and_the_next_steps_are_equal(tmp_path: Path) -> None:
    """Through a file, as a checkpoint does; schedules work on the restored groups."""
    model, batch = Toy(), toy_batch()
    wrapper = wrapper_of(model)
    wrapper.update_params(total(model(*batch)))
    torch.save({'model': model.state_dict(), 'optimizer': wrapper.state_dict()}, tmp_path / 'a.pth')
    saved = torch.load(tmp_path / 'a.pth', weights_only=True)
    assert [group['part'] for group in saved['optimizer']['param_groups']] == list(
        OPTIM['optimizer']
    )
    other = Toy()
    resumed = wrapper_of(other)
    other.load_state_dict(saved['model'])
    resumed.load_state_dict(saved['optimizer'])
    schedules = [
        PolyLR(w, power=0.9, eta_min=0.0, begin=0, end=9, by_epoch=False)
        for w in (wrapper, resumed)
    ]
    for _ in range(2):
        for net, w in ((model, wrapper), (other, resumed)):
            w.update_params(total(net(*batch)))
        for schedule in schedules:
            schedule.step()
    assert all(
        torch.equal(a, b) for a, b in zip(model.parameters(), other.parameters(), strict=True)
    )
    rates = [[g['lr'] for g in w.optimizer.param_groups] for w in (wrapper, resumed)]
    assert rates[0] == rates[1]


def test_a_checkpoint_of_other_optimizers_is_refused() -> None:
    joint = wrapper_of(Toy()).optimizer
    single = torch.optim.SGD(Toy().parameters(), lr=0.1)
    with pytest.raises(ValueError, match='this run has'):
        joint.load_state_dict(single.state_dict())
    state = joint.state_dict()
    state['state'] = {'day': {}, 'discriminators': {}}
    with pytest.raises(ValueError, match="the optimizers \\['day', 'discriminators'\\]"):
        joint.load_state_dict(state)


def test_a_step_that_is_not_finite_skips_all_parts() -> None:
    """The discriminator's loss alone is bad: the network does not move, either."""
    model, batch = Toy(), toy_batch()
    wrapper = wrapper_of(model)
    guard = GradientGuard(wrapper.optimizer)
    wrapper.update_params(total(model(*batch)))
    before = [p.detach().clone() for p in model.parameters()]
    state = copy.deepcopy(wrapper.state_dict())
    losses = model(*batch)
    wrapper.update_params(total({**losses, 'dis': losses['dis'] * float('inf')}))
    assert guard.norm is not None and not guard.norm.isfinite()
    assert all(torch.equal(a, b) for a, b in zip(before, model.parameters(), strict=True))
    after = wrapper.state_dict()
    for name, part in state['state'].items():
        for index, values in part.items():
            assert all(torch.equal(v, after['state'][name][index][k]) for k, v in values.items())
    wrapper.update_params(total(model(*batch)))
    assert not any(torch.equal(a, b) for a, b in zip(before, model.parameters(), strict=True))


def test_one_loss_scaler_serves_all_parts() -> None:
    """Gradients 2 and 3 at a rate of 0.1: weights 0.8 and 0.7; an overflow skips both."""
    weights = [nn.Parameter(torch.ones(1)) for _ in range(2)]
    joint = JointOptimizer(
        {
            'a': torch.optim.SGD([weights[0]], lr=0.1),
            'b': torch.optim.SGD([weights[1]], lr=0.1),
        }
    )
    try:
        scaler = torch.amp.GradScaler('cpu', init_scale=4.0)
    except (AttributeError, TypeError):
        pytest.skip('this torch has no loss scaler on a CPU')
    for factor, expected in ((1.0, (0.8, 0.7)), (float('inf'), (0.8, 0.7)), (1.0, (0.6, 0.4))):
        joint.zero_grad()
        scaler.scale(factor * (2 * weights[0] + 3 * weights[1]).sum()).backward()
        scaler.step(joint)
        scaler.update()
        assert [w.item() for w in weights] == pytest.approx(expected)


def test_accumulation_steps_once() -> None:
    model, batch = Toy(), toy_batch()
    other = copy.deepcopy(model)
    accumulating, plain = wrapper_of(model, accumulative_counts=2), wrapper_of(other)
    accumulating.initialize_count_status(model, 0, 10)
    before = checksums(model)
    accumulating.update_params(total(model(*batch)))
    assert checksums(model) == before
    accumulating.update_params(total(model(*batch)))
    plain.update_params(total(other(*batch)))
    assert checksums(model) == pytest.approx(checksums(other), rel=1e-12)


def _gradients(rank: int, rendezvous: str, out: str) -> None:
    """One of two processes: gradients of its own sample, reduced by DDP."""
    torch.set_num_threads(1)
    dist.init_process_group('gloo', init_method=f'file://{rendezvous}', rank=rank, world_size=2)
    model = nn.parallel.DistributedDataParallel(Toy())
    wrapper = wrapper_of(model)
    source, target, labels = toy_batch()
    for _ in range(2):
        losses = total(model(source + rank, target - rank, labels))
        wrapper.zero_grad()
        losses.backward()
        gradients = [p.grad.clone() for p in model.parameters()]
        wrapper.step()
    torch.save({'gradients': gradients, 'sums': checksums(model)}, f'{out}/{rank}.pt')
    dist.destroy_process_group()


def test_two_processes_give_the_mean_of_the_single_gradients(tmp_path: Path) -> None:
    run_two_ranks(_gradients, str(tmp_path / 'rendezvous'), str(tmp_path))
    found = [torch.load(tmp_path / f'{rank}.pt', weights_only=True) for rank in (0, 1)]
    assert found[0]['sums'] == found[1]['sums']
    model = Toy()
    wrapper = wrapper_of(model)
    source, target, labels = toy_batch()
    for _ in range(2):
        means: list[Tensor] = []
        for rank in (0, 1):
            model.zero_grad()
            total(model(source + rank, target - rank, labels)).backward()
            gradients = [p.grad.clone() / 2 for p in model.parameters()]
            means = [a + b for a, b in zip(means, gradients, strict=True)] if means else gradients
        for parameter, mean in zip(model.parameters(), means, strict=True):
            parameter.grad = mean.clone()
        wrapper.step()
    for a, b in zip(found[0]['gradients'], means, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-10, atol=1e-12)


def test_parameters_are_in_one_part_each() -> None:
    shared = nn.Parameter(torch.ones(2))
    with pytest.raises(ValueError, match="in the parts 'a' and 'b'"):
        JointOptimizer(
            {'a': torch.optim.SGD([shared], lr=1.0), 'b': torch.optim.Adam([shared], lr=1.0)}
        )
    with pytest.raises(ValueError, match='at least one optimizer'):
        JointOptimizer({})
    joint = JointOptimizer({'a': torch.optim.SGD([shared], lr=1.0)})
    with pytest.raises(ValueError, match='belongs to a part'):
        joint.add_param_group({'params': [nn.Parameter(torch.ones(1))]})
    with pytest.raises(ValueError, match='takes no closure'):
        joint.step(lambda: 0.0)


@pytest.mark.parametrize(
    ('changes', 'message'),
    [
        (dict(optimizer=dict(day=dict(type='SGD', lr=1.0))), "no child 'day', expected one of"),
        (dict(optimizer=dict(night=dict(type='SGD', lr=1.0))), 'would never change'),
        (dict(optimizer=dict(type='SGD', lr=1.0)), 'to map children of the model'),
        (dict(paramwise_cfg=dict(norm_decay_mult=0.0)), 'move it to'),
    ],
)
def test_what_a_config_may_not_say(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        wrapper_of(Toy(), **changes)


def test_a_part_has_its_own_recipe_and_leaves_frozen_parameters_out() -> None:
    model = Toy()
    model.night[0].requires_grad_(False)
    optimizer = copy.deepcopy(OPTIM['optimizer'])
    optimizer['night']['paramwise_cfg'] = dict(custom_keys={'night.2': dict(lr_mult=10.0)})
    groups = wrapper_of(model, optimizer=optimizer).optimizer.parts['night'].param_groups
    assert [group['lr'] for group in groups] == [0.1, 0.1]
    held = [p for group in groups for p in group['params']]
    assert [id(p) for p in held] == [id(p) for p in model.night[2].parameters()]
    model.discriminators.requires_grad_(False)
    with pytest.raises(ValueError, match='every parameter of it is frozen'):
        wrapper_of(model)


def test_children_may_share_a_part() -> None:
    optimizer = {'night+discriminators': dict(type='SGD', lr=1.0)}
    model = Toy()
    groups = wrapper_of(model, optimizer=optimizer).optimizer.param_groups
    assert sum(len(group['params']) for group in groups) == len(list(model.parameters()))
