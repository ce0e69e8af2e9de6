"""Jitter and blur: identities, values by hand, the OpenCV blur, no value read."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch
from torch import Tensor

from mmseg_ccdistill.models.self_training.changed_look import blur, change_look, jitter

MEAN, STD = (
    torch.tensor([120.0, 110, 100]).view(3, 1, 1),
    torch.tensor([58.0, 57, 56]).view(3, 1, 1),
)


def images() -> Tensor:
    torch.manual_seed(0)
    return torch.rand(3, 3, 12, 14)


def normalised() -> Tensor:
    return (images() * 255 - MEAN) / STD


def test_numbers_of_no_change_change_no_bit() -> None:
    x = normalised()
    look = torch.tensor([[1.0, 1, 1, 0, 0], [1.1, 1, 1, 0, 0], [1, 1, 1, 0, 1.0]])
    found = change_look(x, look, MEAN, STD)
    assert torch.equal(found[0], x[0])
    assert not torch.equal(found[1], x[1]) and not torch.equal(found[2], x[2])
    expected = ((images()[1] * 1.1).clamp(0, 1) * 255 - MEAN) / STD
    torch.testing.assert_close(found[1], expected, rtol=1e-4, atol=1e-5)


def test_jitter_by_hand() -> None:
    x = images()[:1]
    one = torch.tensor([[1.0, 1, 1, 0]])
    torch.testing.assert_close(jitter(x, one), x)
    contrast = jitter(x, torch.tensor([[1.0, 0.5, 1, 0]]))
    torch.testing.assert_close(contrast, x.mean() + 0.5 * (x - x.mean()))
    grey = jitter(x, torch.tensor([[1.0, 1, 0, 0]]))
    torch.testing.assert_close(grey, x.mean(1, keepdim=True).expand_as(x))
    third = jitter(x, torch.tensor([[1.0, 1, 1, 1 / 3]]))
    torch.testing.assert_close(third, x.roll(1, 1))  # a third of a turn permutes the channels
    quarter = jitter(0.4 + 0.1 * x, torch.tensor([[1.0, 1, 1, 0.25]]))
    torch.testing.assert_close(quarter.mean(1), (0.4 + 0.1 * x).mean(1))


@pytest.mark.parametrize('sigma', [0.15, 0.6, 1.15])
def test_blur_is_opencvs(sigma: float) -> None:
    x = images()[:1]
    expected = cv2.GaussianBlur(
        x[0].permute(1, 2, 0).numpy(), (11, 11), sigma, borderType=cv2.BORDER_REFLECT_101
    )
    found = blur(x, torch.tensor([sigma]))[0].permute(1, 2, 0).numpy()
    np.testing.assert_allclose(found, expected, atol=2e-5)


def test_no_value_is_read() -> None:
    meta = dict(device='meta')
    found = change_look(
        torch.empty(2, 3, 16, 16, **meta),
        torch.empty(2, 5, **meta),
        MEAN.to('meta'),
        STD.to('meta'),
    )
    assert found.shape == (2, 3, 16, 16)
