from __future__ import annotations

import enum
import io
from collections import OrderedDict, deque
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from mmengine.config import ConfigDict
from mmengine.logging import HistoryBuffer, MessageHub

from mmseg_ccdistill.runtime.checkpoint_values import restore_log, to_plain


class Pair(NamedTuple):
    first: int
    second: str


class Colour(str, enum.Enum):
    RED = 'red'


def reloaded(value: Any) -> Any:
    file = io.BytesIO()
    torch.save(value, file)
    file.seek(0)
    return torch.load(file, weights_only=True)


def test_what_becomes_of_each_kind() -> None:
    checkpoint = {
        'tensor': torch.ones(2, dtype=torch.bfloat16),
        'parameter': torch.nn.Parameter(torch.ones(2)),
        'plain': [None, True, 1, 2**70, 1.5, 'text', (1, (2,))],
        'numpy': [np.float64(1.5), np.int64(3), np.bool_(True), np.str_('road')],
        'array': np.arange(3, dtype=np.uint8),
        'names': np.array(['road', 'sky']),
        'unsigned': np.array([[1], [2]], dtype=np.uint32),
        'dicts': ConfigDict(a=ConfigDict(b=1)),
        'others': [deque([1, 2], 3), Pair(1, 'x'), Colour.RED],
        1: 'a number as key',
    }
    plain = to_plain(checkpoint)
    assert torch.equal(plain['tensor'], checkpoint['tensor'])
    assert plain['plain'] == checkpoint['plain'] and plain[1] == 'a number as key'
    assert plain['numpy'] == [1.5, 3, True, 'road']
    assert [type(v) for v in plain['numpy']] == [float, int, bool, str]
    assert torch.equal(plain['array'], torch.tensor([0, 1, 2], dtype=torch.uint8))
    assert plain['unsigned'] == [[1], [2]]
    assert plain['names'] == ['road', 'sky'] and type(plain['names'][0]) is str
    assert type(plain['dicts']) is dict and type(plain['dicts']['a']) is dict
    assert plain['others'] == [[1, 2], (1, 'x'), 'red']
    assert [type(v) for v in plain['others']] == [list, tuple, str]
    again = reloaded(plain)
    assert again['others'] == plain['others'] and again['plain'] == plain['plain']


def test_a_state_dict_keeps_its_versions() -> None:
    state = torch.nn.BatchNorm2d(2).state_dict()
    plain = reloaded(to_plain(state))
    assert type(plain) is OrderedDict and plain._metadata == state._metadata
    assert plain._metadata['']['version'] == 2


def test_other_objects_are_left_out_and_named(monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    monkeypatch.setattr('mmseg_ccdistill.runtime.checkpoint_values.warn', said.append)
    plain = to_plain({'meta': {'hook': object(), 'iter': 3}, 'list': [1, print, 2]})
    assert plain == {'meta': {'iter': 3}, 'list': [1, 2]}
    assert said[0].startswith('checkpoint.meta.hook is a object, neither tensor nor plain value')
    assert said[1].startswith('checkpoint.list[1] is a builtin_function_or_method')


def test_the_log_comes_back() -> None:
    """Every number of every iteration, in mmengine's own class."""
    hub = MessageHub('values_saved')
    for value in (0.5, 1 / 3, float('nan')):
        hub.update_scalar('train/loss', value, count=2)
    hub.update_info('iter', 3)
    state = hub.state_dict()
    state['log_scalars']['train/loss'].max_length = 7

    plain = reloaded(to_plain(state))
    restore_log(plain)

    buffer = plain['log_scalars']['train/loss']
    assert isinstance(buffer, HistoryBuffer) and buffer.max_length == 7
    for ours, theirs in zip(buffer.data, hub.get_scalar('train/loss').data, strict=True):
        np.testing.assert_array_equal(ours, theirs)
    other = MessageHub('values_loaded')
    other.load_state_dict(plain)
    other.update_scalar('train/loss', 2.0)  # and goes on
    assert len(other.get_scalar('train/loss').data[0]) == 4 and other.get_info('iter') == 3
    assert MessageHub('empty').state_dict()['log_scalars'] == {}
