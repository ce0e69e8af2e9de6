from __future__ import annotations

import re
from typing import Any

import pytest
import torch
from torch import nn

from mmseg_ccdistill.errors import UserInputError
from mmseg_ccdistill.models.backbones.fitting_weights import load_fitting_weights


def test_weights_that_fit_are_loaded() -> None:
    network = nn.Linear(2, 1)
    load_fitting_weights(
        network, {'weight': torch.tensor([[1.0, 2.0]]), 'bias': torch.tensor([3.0])}, 'f', 'x'
    )
    assert network(torch.tensor([10.0, 100.0])).item() == 213.0


@pytest.mark.parametrize(
    ('weights', 'found'),
    [
        ({'weight': torch.zeros(1, 2)}, 'bias has shape None, the network of model.backbone expects (1,)'),
        (
            {'weight': torch.zeros(1, 3), 'bias': torch.zeros(1)},
            'weight has shape (1, 3), the network of model.backbone expects (1, 2)',
        ),
        (
            {'weight': torch.zeros(1, 2), 'bias': torch.zeros(1), 'scale': torch.zeros(4)},
            'scale has shape (4,), the network of model.backbone expects None',
        ),
        (
            {'weight': [[0.0, 0.0]], 'bias': torch.zeros(1)},
            'weight has shape None, the network of model.backbone expects (1, 2)',
        ),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_named_and_nothing_is_loaded(
    weights: dict[str, Any], found: str
) -> None:
    network = nn.Linear(2, 1)
    before = network.weight.clone()
    sentence = f'file.pth: {found} (None: there is no such tensor); take another'
    with pytest.raises(UserInputError, match=f'^{re.escape(sentence)}$'):
        load_fitting_weights(network, weights, 'file.pth', 'take another')
    assert torch.equal(network.weight, before)
