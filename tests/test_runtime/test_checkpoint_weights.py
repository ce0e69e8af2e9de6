from __future__ import annotations

import re
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from mmseg_ccdistill.runtime.checkpoint_file import CheckpointFileError, SkippedObject
from mmseg_ccdistill.runtime.checkpoint_match import check_match
from mmseg_ccdistill.runtime.checkpoint_weights import check_weights, renamed_weights

TOOL = 'python tools/model_converters/rename_keys.py SRC DST'
EXPECTED = 'expected the weights of a model, names to tensors, under state_dict'
WEIGHTS = {'a.weight': torch.ones(2)}


@pytest.mark.parametrize(
    ('checkpoint', 'sentence'),
    [
        ({}, f'it holds no tensors: {EXPECTED}; name a checkpoint that holds them'),
        ([], f'it holds no tensors: {EXPECTED}; name a checkpoint that holds them'),
        (
            {'state_dict': {}, 'meta': {}},
            f'its state_dict holds no tensors: {EXPECTED}; name a checkpoint that holds them',
        ),
        (
            {'state_dict': {'a.weight': np.ones(2), 'b': np.ones(2)}},
            "its state_dict holds no tensors, but 2 other objects (the first is 'a.weight'): "
            f'{EXPECTED}; turn numpy arrays into tensors with torch.from_numpy and save it again',
        ),
        (
            {'a.weight': SkippedObject()},  # what a numpy array is read as
            f"it holds no tensors, but 1 other objects (the first is 'a.weight'): {EXPECTED}; turn numpy "
            'arrays into tensors with torch.from_numpy and save it again',
        ),
        (
            {'model': WEIGHTS, 'epoch': 3},
            f"it holds no tensors, those under 'model' are not read: {EXPECTED}; write them there: "
            f'{TOOL} --take model',
        ),
        (
            {'state_dict': {}, 'ema_state_dict': WEIGHTS, 'net': WEIGHTS},
            "its state_dict holds no tensors, those under 'ema_state_dict', 'net' are not read: "
            f'{EXPECTED}; write them there: {TOOL} --take ema_state_dict',
        ),
    ],
)
def test_a_checkpoint_without_tensors(checkpoint: object, sentence: str) -> None:
    with pytest.raises(CheckpointFileError) as caught:
        check_weights(checkpoint, 'w.pth')
    assert str(caught.value) == f'w.pth: {sentence}'


@pytest.mark.parametrize('checkpoint', [WEIGHTS, {'state_dict': WEIGHTS}])
def test_a_checkpoint_with_tensors(checkpoint: dict) -> None:
    check_weights(checkpoint, 'w.pth')


class Net(nn.Module):
    """A backbone and a head."""

    def __init__(self) -> None:
        super().__init__()
        self.backbone = nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4))
        self.decode_head = nn.Conv2d(4, 2, 1)


def prefixed(prefix: str) -> Callable[[dict[str, Tensor]], dict[str, Tensor]]:
    return lambda state: {prefix + name: value for name, value in state.items()}


def compiled_inside(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """torch.compile on the backbone alone."""
    return {name.replace('backbone.', 'backbone._orig_mod.'): v for name, v in state.items()}


CASES = [
    *(
        (prefixed(prefix), prefix, dict(strip=prefix))
        for prefix in (
            'model.',
            'net.',
            '_orig_mod.',
            'module.module.',
            'ema_model.',
            'student.net.',
        )
    ),
    (compiled_inside, '_orig_mod.', dict(drop='_orig_mod.')),
    (
        lambda state: {
            name.removeprefix('backbone.'): value
            for name, value in state.items()
            if name.startswith('backbone.')
        },
        'backbone.',
        dict(add='backbone.'),
    ),
]


@pytest.mark.parametrize(('change', 'part', 'arguments'), CASES, ids=[str(c[2]) for c in CASES])
def test_what_the_sentence_names_makes_it_fit(
    change: Callable, part: str, arguments: dict[str, str]
) -> None:
    model = Net()
    foreign = change(model.state_dict())
    if part == '_orig_mod.' and 'drop' in arguments:
        foreign = {name: v for name, v in foreign.items() if '_orig_mod.' in name}
    with pytest.raises(ValueError) as caught:
        check_match(foreign, model.state_dict())
    sentence = str(caught.value)
    found = re.search(r'rename_keys.py SRC DST --(\w+) (\S+)$', sentence)
    assert found is not None and {found[1]: found[2]} == arguments, sentence
    assert repr(part) in sentence
    renamed = renamed_weights({'state_dict': foreign}, **{found[1]: found[2]})
    matched, expected = check_match(renamed, model.state_dict())
    assert matched == len([value for value in renamed.values() if value.ndim])


def test_several_prefixes_are_all_named() -> None:
    """A file with teacher and student: the user chooses."""
    state = Net().state_dict()
    both = prefixed('model.')(state) | prefixed('ema_model.')(state)
    with pytest.raises(ValueError, match=r"prefix 'model.' \(or 'ema_model.'\): write"):
        check_match(both, state)
    chosen = renamed_weights(both, strip='ema_model.')
    assert chosen.keys() == state.keys()


def test_names_that_no_prefix_explains() -> None:
    with pytest.raises(
        ValueError, match='its first tensor is a.weight, .* expects e.g. backbone.0'
    ):
        check_match(WEIGHTS, Net().state_dict())


def test_renaming_takes_one_part_of_the_file() -> None:
    checkpoint = {'model': {'a': torch.zeros(1)}, 'ema': prefixed('module.')(WEIGHTS), 'epoch': 3}
    assert renamed_weights(checkpoint, take='ema', strip='module.').keys() == {'a.weight'}
    with pytest.raises(ValueError, match="no weights under 'emma'; it has the keys"):
        renamed_weights(checkpoint, take='emma')
    with pytest.raises(ValueError, match="no tensor has such a name; the first of 1 is 'a.weight'"):
        renamed_weights(WEIGHTS, strip='b.')
    with pytest.raises(ValueError, match="two tensors would be called 'a'"):
        renamed_weights({'a': torch.ones(1), 'x.a': torch.ones(1)}, drop='x.')
