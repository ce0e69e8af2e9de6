"""An iteration of DANNet, whole: one sum, one backward pass, one step of four networks, in the published numbers."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from fill_by_key import fill
from golden_maps import normal
from mmengine.optim import build_optim_wrapper
from mmengine.registry import init_default_scope
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional as F

from mmseg_ccdistill.models.discriminators import DayNightDiscriminator
from mmseg_ccdistill.models.losses import StaticLoss, WeightedCrossEntropyLoss
from mmseg_ccdistill.models.losses.light_loss import light_loss, night_level
from mmseg_ccdistill.models.relighting import LightNet
from mmseg_ccdistill.models.relighting.light_net import relight

#: Class weights are kept in float32; everything else is float64.
REL = 5e-8

OPTIM = dict(
    constructor='JointOptimWrapperConstructor',
    optimizer={
        'light+night': dict(type='SGD', lr=2.5e-4, momentum=0.9, weight_decay=5e-4),
        'discriminators': dict(type='Adam', lr=1e-4, betas=(0.9, 0.99)),
    },
)


class Toy(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.light = fill(LightNet())
        self.night = fill(nn.Conv2d(3, 19, 3, stride=4, padding=1))
        self.discriminators = nn.ModuleDict(
            {light: fill(DayNightDiscriminator()) for light in ('day', 'night')}
        )
        self.supervised = WeightedCrossEntropyLoss(class_weight='balanced').double()

    def against(self, light: str, p: Tensor, label: float, constant: bool = False) -> Tensor:
        net = self.discriminators[light]
        if constant:
            weights = {name: w.detach() for name, w in net.named_parameters()}
            return (functional_call(net, weights, (p,)) - label).square().mean()
        return (net(p.detach()) - label).square().mean()

    def forward(self, static: StaticLoss, source_weight: float = 1.0) -> dict[str, Tensor]:
        day, night, source = (
            normal(11, 2, 3, 64, 64),
            normal(12, 2, 3, 64, 64) - 1.5,
            normal(13, 2, 3, 64, 64),
        )
        labels = torch.from_numpy(np.random.RandomState(14).randint(0, 20, (2, 64, 64)))
        labels[labels == 19] = 255
        level = night_level(night)
        light, logits = {}, {}
        for name, images, size in (
            ('day', day, 120),
            ('night', night, 120),
            ('source', source, 64),
        ):
            relit, change = relight(self.light, images)
            light[name] = light_loss(images, change, level)
            logits[name] = F.interpolate(
                self.night(relit), size=(size, size), mode='bilinear', align_corners=True
            )
        p = {name: z.softmax(1) for name, z in logits.items()}
        pseudo = static.pseudo_labels(logits['day'].detach(), logits['night'].detach())
        return {
            'light_day': light['day'],
            'light_night': light['night'],
            'light_source': light['source'],
            'adv_day': self.against('day', p['day'], 0.0, constant=True),
            'adv_night': self.against('night', p['night'], 0.0, constant=True),
            'seg': self.supervised(logits['source'], labels),
            'dis_day': 0.5 * self.against('day', p['source'], 0.0)
            + 0.5 * self.against('day', p['day'], 1.0),
            'dis_night': 0.5 * self.against('night', p['source'], 0.0)
            + 0.5 * self.against('night', p['night'], 1.0),
            'static': static(logits['night'], pseudo),
            'valid': (pseudo != 255).double().mean(),
        }


def total(terms: dict[str, Tensor], source_weight: float = 1.0) -> Tensor:
    return (
        0.01 * (terms['light_day'] + terms['light_night'] + terms['adv_day'] + terms['adv_night'])
        + source_weight * terms['light_source']
        + terms['seg']
        + terms['static']
        + terms['dis_day']
        + terms['dis_night']
    )


def released() -> StaticLoss:
    return StaticLoss(blend=(0.8, 0.2, 0.4), reweight='logits', neighborhood=False).double()


def norm(module: nn.Module) -> float:
    return torch.cat([p.grad.flatten() for p in module.parameters()]).norm().item()


def test_terms_gradients_and_the_first_step() -> None:
    init_default_scope('mmseg')
    model = Toy()
    wrapper = build_optim_wrapper(model, OPTIM)
    terms = model(released())
    expected = {
        'light_day': 95.9064743,
        'light_night': 93.5087346,
        'light_source': 96.8170129,
        'adv_day': 0.0438710962,
        'adv_night': 0.0444264089,
        'seg': 3.33697395,
        'dis_day': 0.335081337,
        'dis_night': 0.333935056,
        'static': 1.06874656,
        'valid': 0.685104167,
    }
    assert {k: v.item() for k, v in terms.items()} == pytest.approx(expected, rel=REL)
    modules = (model.light, model.night, model.discriminators['day'], model.discriminators['night'])
    before = [[p.detach().clone() for p in module.parameters()] for module in modules]
    wrapper.zero_grad()
    total(terms).backward()
    assert [norm(module) for module in modules] == pytest.approx(
        [1192.74354, 2.23152134, 4.61751209, 4.56944014], rel=REL
    )
    wrapper.step()
    moved = [
        sum(
            (p.detach() - b).abs().sum().item()
            for p, b in zip(module.parameters(), old, strict=True)
        )
        for module, old in zip(modules, before, strict=True)
    ]
    assert moved == pytest.approx([91.8504203, 0.00714457975, 172.723327, 172.735437], rel=REL)
    batch_norm = model.light.model[2]
    assert batch_norm.running_mean.sum().item() == pytest.approx(2.23927239, rel=REL)
    assert batch_norm.running_var.sum().item() == pytest.approx(63.4651225, rel=REL)


@pytest.mark.slow
def test_with_the_static_loss_of_this_project() -> None:
    model = Toy()
    terms = model(StaticLoss().double())
    assert terms['static'].item() == pytest.approx(1.63693614, rel=REL)
    assert terms['valid'].item() == pytest.approx(0.724409722, rel=REL)
    total(terms).backward()
    assert norm(model.light) == pytest.approx(1193.12599, rel=REL)
    assert norm(model.night) == pytest.approx(2.49188929, rel=REL)


@pytest.mark.slow
def test_the_weight_of_the_light_of_the_source_is_what_drives_the_relighting() -> None:
    model = Toy()
    total(model(released()), source_weight=0.01).backward()
    assert norm(model.light) == pytest.approx(32.6502997, rel=REL)
    assert norm(model.night) == pytest.approx(2.23152134, rel=REL)


def test_who_gets_gradient() -> None:
    """The discriminators none from what fools them, the networks none from the discriminators' own terms."""
    model = Toy()
    terms = model(released())
    own = list(model.discriminators.parameters())
    networks = [*model.light.parameters(), *model.night.parameters()]
    fooling = terms['adv_day'] + terms['adv_night'] + terms['static'] + terms['seg']
    assert all(
        g is None for g in torch.autograd.grad(fooling, own, retain_graph=True, allow_unused=True)
    )
    learning = terms['dis_day'] + terms['dis_night']
    assert all(g is None for g in torch.autograd.grad(learning, networks, allow_unused=True))
