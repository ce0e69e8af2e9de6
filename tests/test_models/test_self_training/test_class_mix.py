"""ClassMix: the public rule's sums, the value-free choice, what is never pasted."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from mmseg_ccdistill.models.self_training.class_mix import (
    choose_classes,
    paste_into,
    paste_mask,
    present_classes,
)

THINGS = torch.arange(19) >= 11


def labels() -> Tensor:
    found = torch.from_numpy(np.random.RandomState(0).randint(0, 19, (2, 1, 8, 8))).squeeze(1)
    found[0, :2] = 255
    return found


def images() -> tuple[Tensor, Tensor]:
    source, target = (
        torch.from_numpy(np.random.RandomState(seed).standard_normal((2, 3, 8, 8)))
        for seed in (1, 2)
    )
    return source, target


TARGET_LABELS = torch.from_numpy(np.random.RandomState(3).randint(0, 19, (2, 8, 8)))


def sums(tensor: Tensor) -> list[float]:
    return tensor.flatten(1).sum(1).tolist()


def test_pasting_is_that_of_the_public_code() -> None:
    """Its choice out of the classes of the batch, 255 among them; its sums."""
    own = labels()
    classes = own.unique().numpy()
    assert len(classes) == 20
    np.random.seed(7)
    drawn = [np.random.choice(20, 10, replace=False) for _ in own]
    mask = torch.stack([torch.isin(own[i], torch.from_numpy(classes[drawn[i]])) for i in range(2)])
    assert sums(mask) == [39, 34]
    mixed = paste_into(mask, *images())
    assert sums(mixed) == pytest.approx([26.249437202, -11.931279566], abs=1e-8)
    assert sums(paste_into(mask, own, TARGET_LABELS)) == [4482, 567]
    weight = paste_into(mask, torch.ones(2, 8, 8), torch.full((2, 8, 8), 0.25))
    assert sums(weight) == [45.25, 41.5]


def test_things() -> None:
    own = labels()
    mask = paste_mask(own, torch.rand(2, 19), 'things', THINGS)
    assert sums(mask) == [16, 26]
    assert paste_into(mask, *images()).sum().item() == pytest.approx(0.792316783, abs=1e-8)
    mixed = paste_into(mask, own, TARGET_LABELS)
    assert mixed.sum().item() == 1375
    weight = paste_into(mask, torch.ones(2, 8, 8), torch.full((2, 8, 8), 0.25)).double()
    assert weight.sum().item() == 63.5
    logits = torch.from_numpy(np.random.RandomState(17).standard_normal((2, 19, 8, 8)))
    loss = (F.cross_entropy(logits, mixed, reduction='none') * weight).mean()
    assert loss.item() == pytest.approx(1.652416358, abs=1e-8)


def test_half_of_the_present_classes_without_a_read() -> None:
    own = labels()
    own[1][own[1] < 8] = 0
    uniforms = torch.from_numpy(np.random.RandomState(18).random_sample((2, 19)))
    present = present_classes(own, 19)
    assert present.sum(1).tolist() == [19, 12]
    chosen = [set(row.nonzero().flatten().tolist()) for row in choose_classes(present, uniforms)]
    assert chosen == [{0, 2, 4, 5, 6, 7, 11, 12, 16, 17}, {0, 8, 10, 14, 17, 18}]
    assert sums(paste_mask(own, uniforms)) == [22, 46]
    both = paste_mask(own, uniforms, 'half+things', THINGS)
    assert torch.equal(
        both, paste_mask(own, uniforms) | paste_mask(own, uniforms, 'things', THINGS)
    )


@pytest.mark.parametrize('paste', ['half', 'things', 'half+things'])
def test_ignored_pixels_are_never_pasted(paste: str) -> None:
    own = torch.full((1, 4, 4), 255)
    assert not paste_mask(own, torch.rand(1, 19), paste, THINGS).any()
    own[0, 0, 0] = 11  # the only class there is
    assert paste_mask(own, torch.rand(1, 19), paste, THINGS).sum() == 1


def test_every_class_has_an_equal_chance() -> None:
    torch.manual_seed(0)
    present = torch.zeros(4000, 19, dtype=torch.bool)
    present[:, [2, 5, 11]] = True
    share = choose_classes(present, torch.rand(4000, 19)).double().mean(0)
    expected = torch.zeros(19, dtype=torch.double)
    expected[[2, 5, 11]] = 2 / 3
    assert (share - expected).abs().max() < 3 * (2 / 9 / 4000) ** 0.5


@pytest.mark.parametrize('paste', ['half', 'things', 'half+things'])
def test_no_value_is_read(paste: str) -> None:
    own = torch.empty(2, 8, 8, dtype=torch.long, device='meta')
    mask = paste_mask(own, torch.empty(2, 19, device='meta'), paste, THINGS.to('meta'))
    assert mask.shape == (2, 8, 8)


def test_an_unknown_paste_is_refused() -> None:
    with pytest.raises(ValueError) as caught:
        paste_mask(labels(), torch.rand(2, 19), 'all')
    assert str(caught.value) == (
        "paste must be one of ('half', 'things', 'half+things'), got 'all'."
    )
