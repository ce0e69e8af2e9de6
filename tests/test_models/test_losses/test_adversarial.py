"""Adversarial losses and the discriminator, against numbers of the published modules."""

from __future__ import annotations

import math

import pytest
import torch
from golden_maps import fill, normal
from torch import Tensor
from torch.func import functional_call
from torch.nn import functional

from mmseg_ccdistill.models.discriminators import OutputDiscriminator
from mmseg_ccdistill.models.losses.adversarial import (
    adversarial_loss,
    discriminator_loss,
    domain_error,
    scores_of_constant,
)


def logits(seed: int) -> Tensor:
    return (2 * normal(seed, 2, 19, 9, 13)).requires_grad_()


def probabilities(maps: Tensor) -> Tensor:
    return functional.interpolate(
        maps, (64, 96), mode='bilinear', align_corners=True
    ).softmax(1)  # fmt: skip


#: L_adv, L(D(S), 0), L(D(T), 1), L_D, norm of dL_adv/dL_t, its [0, 0, 4, 6] (None: not known), norm of dL_D/dD.
GOLDEN = {
    'vanilla': (
        *(0.74439825, 0.7456440372, 0.6450518294, 0.6953479333),
        *(0.001286007348, -1.490041e-5, 0.2337167417),
    ),
    'least_squares': (
        *(0.01263456391, 0.01248696266, 0.8139417227, 0.4132143427),
        *(5.625216353e-4, None, 4.553502194),
    ),
}


@pytest.mark.parametrize('form', sorted(GOLDEN))
def test_losses_and_gradients(form: str) -> None:
    net = fill(OutputDiscriminator(), 0)
    source, target = logits(1000), logits(1001)
    adv, of_source, of_target, own, norm, entry, own_norm = GOLDEN[form]
    constant = {name: p.detach() for name, p in net.named_parameters()}
    loss = adversarial_loss(functional_call(net, constant, (probabilities(target),)), form)
    assert loss.item() == pytest.approx(adv, rel=1e-8)
    loss.backward()
    assert target.grad is not None
    assert target.grad.norm().item() == pytest.approx(norm, rel=1e-8)
    if entry is not None:
        assert target.grad[0, 0, 4, 6].item() == pytest.approx(entry, rel=1e-6)
    assert all(p.grad is None for p in net.parameters())
    scores = [net(probabilities(maps).detach()) for maps in (source, target)]
    assert domain_error(scores[0], 0.0, form).item() == pytest.approx(of_source, rel=1e-8)
    assert domain_error(scores[1], 1.0, form).item() == pytest.approx(of_target, rel=1e-8)
    loss = discriminator_loss(*scores, form)
    assert loss.item() == pytest.approx(own, rel=1e-8)
    loss.backward()
    flat = torch.cat([p.grad.flatten() for p in net.parameters() if p.grad is not None])
    assert flat.norm().item() == pytest.approx(own_norm, rel=1e-8)
    assert source.grad is None


def test_a_blind_discriminator() -> None:
    zeros = torch.zeros(2, 1, 2, 3)
    assert adversarial_loss(zeros, 'vanilla').item() == pytest.approx(math.log(2))
    assert discriminator_loss(zeros, zeros, 'vanilla').item() == pytest.approx(math.log(2))
    assert adversarial_loss(zeros).item() == 0
    assert discriminator_loss(zeros, zeros).item() == 0.5


def test_half_precision_scores_have_a_loss_in_float32() -> None:
    scores = torch.full((1, 1, 2, 2), 300.0, dtype=torch.float16)  # its square is no float16
    loss = adversarial_loss(scores)
    assert loss.dtype == torch.float32 and loss.item() == 90000.0


def test_an_unknown_form_is_named() -> None:
    with pytest.raises(ValueError) as caught:
        adversarial_loss(torch.zeros(1), 'hinge')
    assert str(caught.value) == (
        "the adversarial loss must be one of ('vanilla', 'least_squares'), got 'hinge'."
    )


@pytest.mark.parametrize(
    ('classes', 'parameters'), [(19, 2_781_121), (13, 2_774_977), (11, 2_772_929)]
)
def test_parameters(classes: int, parameters: int) -> None:
    assert sum(p.numel() for p in OutputDiscriminator(classes).parameters()) == parameters


def test_scores() -> None:
    net = fill(OutputDiscriminator(), 0)
    expected = {
        1001: (0.0363380943, 0.0878876489, 0.0395925908, 0.1186819592, 0.1617317538, 0.1500812556),
        1000: (0.0426612214, 0.0892872290, 0.0523027315, 0.1287666811, 0.1731884902, 0.1606853357),
    }
    for seed, values in expected.items():
        scores = net(probabilities(logits(seed)))[0]
        assert scores.flatten().tolist() == pytest.approx(values, rel=1e-8)


@pytest.mark.parametrize(
    ('size', 'scores'), [((512, 512), (16, 16)), ((540, 960), (16, 30)), ((65, 65), (2, 2))]
)
def test_sizes(size: tuple[int, int], scores: tuple[int, int]) -> None:
    with torch.device('meta'):
        assert OutputDiscriminator()(torch.empty(1, 19, *size)).shape == (1, 1, *scores)


def test_a_map_without_a_score_is_named() -> None:
    with pytest.raises(ValueError) as caught:
        OutputDiscriminator()(torch.zeros(1, 19, 64, 31))
    assert str(caught.value) == (
        'OutputDiscriminator got a map of (64, 31): expected sides of 32 and more; feed probabilities at the size of '
        'the image, and take larger crops.'
    )


def test_a_constant_discriminator_passes_the_gradient_on_and_keeps_none() -> None:
    judge = OutputDiscriminator(3)
    maps = torch.rand(1, 3, 64, 64, requires_grad=True)
    scores = scores_of_constant(judge, maps)
    assert torch.equal(scores, judge(maps))
    scores.sum().backward()
    assert maps.grad is not None and maps.grad.any()
    assert all(p.grad is None and p.requires_grad for p in judge.parameters())
