from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch
from torch import nn

from mmseg_ccdistill.engine.hooks import CheckpointMatchHook


def runner() -> SimpleNamespace:
    return SimpleNamespace(model=nn.Sequential(nn.Conv2d(3, 4, 1)))


@pytest.mark.parametrize(
    'state',
    [
        {'encoder.weight': torch.zeros(4, 3, 1, 1)},
        {'0.weight': torch.zeros(5, 3, 1, 1)},
        {'0.weight': 'not a tensor'},
        {},
    ],
)
def test_a_foreign_checkpoint_stops_the_run(state: dict) -> None:
    with pytest.raises(ValueError, match='fits nothing'):
        CheckpointMatchHook().after_load_checkpoint(runner(), {'state_dict': state})


@pytest.mark.parametrize('prefix', ['', 'module.'])
@pytest.mark.parametrize('wrapped', [True, False])
def test_a_partial_match_passes(prefix: str, wrapped: bool) -> None:
    """The backbone of another task, or a file saved from a wrapped model, is a fair start."""
    state = {f'{prefix}0.weight': torch.zeros(4, 3, 1, 1), 'head.weight': torch.zeros(1)}
    CheckpointMatchHook().after_load_checkpoint(
        runner(), {'state_dict': state} if wrapped else state
    )
