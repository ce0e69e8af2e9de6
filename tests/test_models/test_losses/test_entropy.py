"""Entropy losses, against numbers of the published modules."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from golden_maps import fill, normal
from torch import Tensor, nn
from torch.nn import functional

from mmseg_ccdistill.models.discriminators import OutputDiscriminator
from mmseg_ccdistill.models.losses import (
    adversarial_loss,
    class_prior_loss,
    discriminator_loss,
    entropy_loss,
    self_information,
)
from mmseg_ccdistill.models.losses.adversarial import domain_error


def logits(seed: int) -> Tensor:
    return (2 * normal(seed, 2, 19, 9, 13)).requires_grad_()


def up(maps: Tensor) -> Tensor:
    return functional.interpolate(maps, (64, 96), mode='bilinear', align_corners=True)


def of_probabilities(*p: float) -> Tensor:
    """Logits of one pixel with these probabilities, the rest of 19 classes 0."""
    values = torch.full((1, 19, 1, 1), -math.inf, dtype=torch.float64)
    values[0, : len(p), 0, 0] = torch.tensor(p, dtype=torch.float64).log()
    return values.clamp_min(-1e4)


def test_by_hand() -> None:
    uniform = self_information(torch.zeros(1, 19, 2, 2))
    torch.testing.assert_close(uniform, torch.full_like(uniform, 1 / 19))
    assert entropy_loss(torch.zeros(1, 19, 2, 2)).item() == pytest.approx(1.0)
    assert entropy_loss(of_probabilities(1.0)).item() == 0
    three = of_probabilities(0.7, 0.2, 0.1)
    assert entropy_loss(three).item() == pytest.approx(0.2723162403, abs=1e-10)
    assert self_information(three)[0, :4, 0, 0].tolist() == pytest.approx(
        [0.0847945780, 0.1093205139, 0.0782011483, 0.0], abs=1e-10
    )


def test_mean_entropy_and_its_gradient() -> None:
    source, target = logits(1000), logits(1001)
    assert entropy_loss(up(source)).item() == pytest.approx(0.768330170048, abs=1e-12)
    loss = entropy_loss(up(target))
    assert loss.item() == pytest.approx(0.785521606654, abs=1e-12)
    loss.backward()
    assert target.grad is not None
    assert target.grad.norm().item() == pytest.approx(0.005145787431, rel=1e-9)
    assert target.grad[0, 0, 4, 6].item() == pytest.approx(3.824196e-5, rel=1e-6)
    assert self_information(up(target)).sum().item() == pytest.approx(9652.489503, rel=1e-9)
    singles = [entropy_loss(up(target[i : i + 1])).item() for i in (0, 1)]
    assert sum(singles) / 2 == pytest.approx(loss.item(), rel=1e-12)


def test_mean_entropy_of_numbers_from_numpy() -> None:
    """Of z_n of the golden numbers of day-night fusion, worked out in NumPy: 0.426605961."""
    night = 3 * np.random.RandomState(9).standard_normal((2, 19, 6, 6))
    assert entropy_loss(torch.from_numpy(night)).item() == pytest.approx(0.426605961, abs=1e-9)


def test_the_hardest_pixels() -> None:
    night = up(logits(1001))
    for image, expected in zip(night.split(1), (0.8823490607, 0.8813731190), strict=True):
        assert entropy_loss(image, 0.3).item() == pytest.approx(expected, rel=1e-9)
    both = (0.8823490607 + 0.8813731190) / 2
    assert entropy_loss(night, 0.3).item() == pytest.approx(both, rel=1e-9)
    assert entropy_loss(up(logits(1000)), 1.0).item() == pytest.approx(0.768330170048, abs=1e-12)
    few = torch.cat([torch.zeros(1, 19, 1, 1), of_probabilities(1.0).float()], 3)
    assert entropy_loss(few, 0.01).item() == pytest.approx(1.0)  # one pixel at least


@pytest.mark.parametrize('share', [0.0, -0.1, 1.5])
def test_a_share_that_is_none_is_named(share: float) -> None:
    with pytest.raises(ValueError) as caught:
        entropy_loss(torch.zeros(1, 2, 1, 1), share)
    assert str(caught.value) == (
        f'hardest must be a share of the pixels above 0 and at most 1, got {share}: leave it out for all pixels.'
    )


def test_adversarial_loss_on_self_information() -> None:
    net = fill(OutputDiscriminator(), 0)
    source, target = logits(1000), logits(1001)
    scores = net(self_information(up(target)))
    assert scores[0].flatten().tolist() == pytest.approx(
        [0.0289391308, 0.0796887566, 0.0481090670, 0.1023453006, 0.1587968953, 0.1376113828],
        rel=1e-8,
    )
    loss = adversarial_loss(scores, 'vanilla')
    assert loss.item() == pytest.approx(0.7409681579, rel=1e-9)
    (gradient,) = torch.autograd.grad(loss, target)
    assert gradient.norm().item() == pytest.approx(4.914696751e-4, rel=1e-9)
    own = [net(self_information(up(maps)).detach()) for maps in (source, target)]
    assert domain_error(own[0], 0.0, 'vanilla').item() == pytest.approx(0.7417313097, rel=1e-9)
    assert domain_error(own[1], 1.0, 'vanilla').item() == pytest.approx(0.6480317164, rel=1e-9)
    loss = discriminator_loss(*own, 'vanilla')
    assert loss.item() == pytest.approx(0.6948815131, rel=1e-9)
    loss.backward()
    flat = torch.cat([p.grad.flatten() for p in net.parameters() if p.grad is not None])
    assert flat.norm().item() == pytest.approx(0.1653788282, rel=1e-9)


def test_three_steps_of_a_toy() -> None:
    """MinEnt's public update: SGD on cross-entropy plus 0.1 times the entropy."""
    net = fill(nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(), nn.Conv2d(8, 19, 1)), 50)
    labels = torch.from_numpy(np.random.RandomState(4002).randint(0, 19, (1, 64, 96)))
    labels[:, :8] = 255
    source, target = normal(4000, 1, 3, 64, 96), normal(4001, 1, 3, 64, 96)
    optimizer = torch.optim.SGD(net.parameters(), 1e-2, momentum=0.9, weight_decay=5e-4)
    steps = ((3.190572921, 0.922448478), (3.189501444, 0.9227935252), (3.187489807, 0.9234414199))
    for i, expected in enumerate(steps):
        optimizer.param_groups[0]['lr'] = 1e-2 * (1 - i / 250) ** 0.9
        supervised = functional.cross_entropy(net(source), labels, ignore_index=255)
        entropy = entropy_loss(net(target))
        assert (supervised.item(), entropy.item()) == pytest.approx(expected, rel=1e-9)
        optimizer.zero_grad()
        (supervised + 0.1 * entropy).backward()
        optimizer.step()
    flat = torch.cat([p.detach().flatten() for p in net.parameters()])
    assert flat.sum().item() == pytest.approx(0.396263411866, rel=1e-9)
    assert flat.abs().sum().item() == pytest.approx(74.3787085513, rel=1e-9)


def test_certain_predictions_have_a_finite_gradient() -> None:
    for values in (of_probabilities(1.0), torch.zeros(1, 19, 1, 1).double()):
        maps = values.requires_grad_()
        entropy_loss(maps).backward()
        assert maps.grad is not None and maps.grad.abs().max() < 1e-15


@pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16])
def test_half_precision_is_lifted(dtype: torch.dtype) -> None:
    """In half precision the published 1e-30 is 0, and 0 times the logarithm of 0 is no number."""
    maps = torch.tensor([30.0, 0.0, -30.0], dtype=dtype).view(1, 3, 1, 1)
    loss = entropy_loss(maps)
    assert loss.dtype == torch.float32 and loss.isfinite()
    assert class_prior_loss(maps, torch.full((3,), 1 / 3)).dtype == torch.float32


def test_class_prior() -> None:
    """Road has 0.5 of the source and 0.1 of the image; half of the share may be missing: 0.25 - 0.1."""
    p = torch.tensor([[0.1, 0.6, 0.3], [0.5, 0.1, 0.4]]).view(2, 3, 1, 1)
    prior = torch.tensor([0.5, 0.3, 0.2])
    expected = ((0.25 - 0.1) + (0.15 - 0.1)) / 2
    assert class_prior_loss(p.log(), prior).item() == pytest.approx(expected)
    assert class_prior_loss(p.log(), prior, 0.1).item() == 0
