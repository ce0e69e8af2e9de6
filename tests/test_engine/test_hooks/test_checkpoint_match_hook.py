from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from mmseg.models.segmentors import SegTTAModel
from torch import nn

from mmseg_ccdistill.engine.hooks import CheckpointMatchHook


def runner() -> SimpleNamespace:
    return SimpleNamespace(model=nn.Sequential(nn.Conv2d(3, 4, 1)))


@pytest.mark.parametrize(
    ('state', 'message'),
    [
        ({'encoder.weight': torch.zeros(4, 3, 1, 1)}, 'fits nothing'),
        ({'0.weight': torch.zeros(5, 3, 1, 1), '0.bias': torch.zeros(5)}, 'another width'),
        ({'0.weight': 'not a tensor'}, "no tensors, but 1 other objects .the first is '0.weight'"),
        ({'0.weight': np.zeros((4, 3, 1, 1))}, 'turn numpy arrays into tensors'),
        (
            {'0.weight': np.zeros((4, 3, 1, 1)), '0.bias': np.zeros(4), 'x': torch.ones(1)},
            'no tensor',
        ),
        ({}, 'its state_dict holds no tensors: expected the weights of a model'),
        ({'net.0.weight': torch.zeros(4, 3, 1, 1)}, "without their prefix 'net.'"),
    ],
)
def test_a_foreign_checkpoint_stops_the_run(state: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        CheckpointMatchHook().after_load_checkpoint(runner(), {'state_dict': state})


@pytest.mark.parametrize('prefix', ['', 'module.'])
@pytest.mark.parametrize('wrapped', [True, False])
def test_a_partial_match_passes(prefix: str, wrapped: bool) -> None:
    """The backbone of another task, or a file saved from a wrapped model, is a fair start."""
    state = {f'{prefix}0.weight': torch.zeros(4, 3, 1, 1), 'head.weight': torch.zeros(1)}
    CheckpointMatchHook().after_load_checkpoint(
        runner(), {'state_dict': state} if wrapped else state
    )


def test_test_time_augmentation_is_looked_through() -> None:
    inner = nn.Conv1d(1, 2, 1, bias=False)
    inner.test_step = inner.forward  # what the wrapper asks of a model
    wrapped = SegTTAModel(module=inner)
    state = {'state_dict': {'weight': torch.zeros(2, 1, 1)}}
    CheckpointMatchHook().after_load_checkpoint(SimpleNamespace(model=wrapped), state)


def test_a_segmentor_of_two_branches_is_not_trusted_with_nothing(monkeypatch) -> None:
    """It checks names by itself, but an empty state dict would never reach it."""
    monkeypatch.setattr(
        'mmseg_ccdistill.engine.hooks.checkpoint_match_hook.AdaptationSegmentor', nn.Module
    )
    with pytest.raises(ValueError, match='^load_from: its state_dict holds no tensors'):
        CheckpointMatchHook().after_load_checkpoint(runner(), {'state_dict': {}})
