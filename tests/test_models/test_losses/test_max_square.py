"""Maximum squares with class balance, against numbers of the published code and by hand."""

from __future__ import annotations

import pytest
import torch
from golden_maps import normal
from torch import Tensor
from torch.nn import functional as F

from mmseg_ccdistill.models.losses import max_square_loss
from mmseg_ccdistill.models.losses.max_square import pixel_weights


def night(batch: int = 1) -> tuple[Tensor, Tensor]:
    """Logits with a gradient, and their probabilities at the size of the image."""
    logits = (2 * normal(2003, batch, 19, 9, 13)).requires_grad_()
    up = F.interpolate(logits, (64, 96), mode='bilinear', align_corners=True)
    return logits, up.softmax(1)


@pytest.mark.parametrize(
    ('ratio', 'expected'), [(0.2, -0.0158553532), (0, -0.0089552229), (1, -0.1657594031)]
)
def test_published_numbers(ratio: float, expected: float) -> None:
    assert max_square_loss(night()[1], ratio).item() == pytest.approx(expected, abs=1e-9)


def test_its_gradient() -> None:
    logits, p = night()
    max_square_loss(p).backward()
    assert logits.grad is not None
    assert logits.grad.norm().item() == pytest.approx(6.30438838e-4, abs=1e-9)


def test_two_images_are_the_mean_of_one_and_one() -> None:
    p = night(2)[1]
    loss = max_square_loss(p).item()
    assert loss == pytest.approx(-0.0152767344, abs=1e-9)
    singles = [max_square_loss(image).item() for image in p.split(1)]
    assert loss == pytest.approx(sum(singles) / 2, abs=1e-12)


def test_by_hand() -> None:
    sure = torch.zeros(1, 19, 4, 4)
    sure[:, 3] = 1
    assert max_square_loss(sure).item() == pytest.approx(-1 / 19)
    halves = torch.zeros(1, 19, 4, 4)
    halves[:, 3, :2] = halves[:, 5, 2:] = 1
    assert max_square_loss(halves).item() == pytest.approx(-0.0604578075)
    uniform = torch.full((1, 19, 4, 4), 1 / 19)
    assert max_square_loss(uniform).item() == pytest.approx(-0.0027700831)


def test_rare_classes_weigh_more_in_their_own_image() -> None:
    """n = 4: three pixels of class 0 and one of class 1; the other image has class 1 alone."""
    p = torch.zeros(2, 2, 2, 2)
    p[0, 0] = p[1, 1] = 1
    p[0, :, 0, 0] = torch.tensor([0.0, 1.0])
    found = pixel_weights(p, 0.2)
    often, rare, alone = (1 / (n**0.2 * 4**0.8) for n in (3, 1, 4))
    expected = torch.tensor([[[rare, often], [often, often]], [[alone, alone], [alone, alone]]])
    torch.testing.assert_close(found, expected)


@pytest.mark.parametrize('ratio', [-0.1, 1.5])
def test_a_ratio_that_is_none_is_named(ratio: float) -> None:
    with pytest.raises(ValueError) as caught:
        max_square_loss(night()[1], ratio)
    assert str(caught.value) == (
        f'square_ratio must be from 0 (all pixels alike) to 1 (all classes alike), got {ratio}: the published code has '
        '0.2.'
    )
