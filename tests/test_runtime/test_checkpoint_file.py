from __future__ import annotations

import pickle
from pathlib import Path

import pytest
import torch
from mmengine.logging import MessageHub

from mmseg_ccdistill.runtime.checkpoint_file import OWN_KEY, SkippedObject, read_checkpoint

TORCH = tuple(int(part) for part in torch.__version__.split('.')[:2])


class Payload:
    """Makes a file when it is unpickled."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple:
        return Path.touch, (self.marker,)


def test_reads_weights_of_every_kind(tmp_path: Path) -> None:
    weights = {
        'module.a': torch.arange(6.0).reshape(2, 3).t(),
        'module.b': torch.tensor([1.5], dtype=torch.bfloat16),
        'module.c': torch.nn.Parameter(torch.ones(2)),
        'module.d': torch.tensor(3),
    }
    meta = {OWN_KEY: '0.1.0', 'iter': 7, 'dataset_meta': dict(classes=('road',))}
    torch.save(dict(meta=meta, state_dict=weights), tmp_path / 'iter_7.pth')

    checkpoint = read_checkpoint(tmp_path / 'iter_7.pth')

    assert list(checkpoint['state_dict']) == ['a', 'b', 'c', 'd'] and checkpoint['meta'] == meta
    for name, value in weights.items():
        read = checkpoint['state_dict'][name.removeprefix('module.')]
        assert torch.equal(read, value) and read.dtype == value.dtype


@pytest.mark.skipif(
    TORCH < (2, 10), reason='older torch reads only plain checkpoints of this package'
)
def test_the_logs_buffers_do_not_stand_in_the_way(tmp_path: Path) -> None:
    """mmengine saves them beside the weights, and torch refuses them."""
    hub = MessageHub('checkpoint_file')
    hub.update_scalar('train/loss', 0.5)
    path = tmp_path / 'iter_7.pth'
    torch.save(dict(state_dict={'a': torch.ones(1)}, message_hub=hub.state_dict()), path)
    with pytest.raises(pickle.UnpicklingError):
        torch.load(path, weights_only=True)
    checkpoint = read_checkpoint(path)
    (scalar,) = checkpoint['message_hub']['log_scalars'].values()
    assert isinstance(scalar, SkippedObject) and list(checkpoint['state_dict']) == ['a']


def test_executes_nothing(tmp_path: Path) -> None:
    marker = tmp_path / 'executed'
    path = tmp_path / 'evil.pth'
    meta = {OWN_KEY: '0.1.0'}
    for checkpoint in (
        dict(state_dict={'a': torch.ones(1)}, meta=meta, message_hub=[Payload(marker)]),
        dict(state_dict={'a': Payload(marker)}, meta=meta),
    ):
        torch.save(checkpoint, path)
        with pytest.raises(ValueError, match='evil.pth: expected'):
            read_checkpoint(path)
        assert not marker.exists()
    torch.load(path, weights_only=False)  # it does what it says where code is allowed
    assert marker.exists()


def test_a_program_is_no_checkpoint(tmp_path: Path) -> None:
    path = tmp_path / 'scripted.pth'
    torch.jit.save(torch.jit.script(torch.nn.ReLU()), str(path))
    with pytest.raises(ValueError, match='scripted.pth: expected'):
        read_checkpoint(path)


@pytest.mark.parametrize(
    ('content', 'message'),
    [
        (None, 'no such file'),
        ('folder', 'is a folder'),
        (b'<html>404</html>', 'iter_1.pth: expected'),
        ('cut', 'iter_1.pth: expected'),
        ([OWN_KEY, 2], 'with a state_dict'),
        ({OWN_KEY: 1, 'weights': torch.ones(1)}, 'with a state_dict'),
        ({OWN_KEY: 1, 'state_dict': {}}, 'with a state_dict'),
        ({OWN_KEY: 1, 'state_dict': {'a': 1}}, 'tensors alone in state_dict, but a is none'),
    ],
)
def test_a_wrong_file_is_named(tmp_path: Path, content: object, message: str) -> None:
    path = tmp_path / 'iter_1.pth'
    if content == 'folder':
        path.mkdir()
    elif content == 'cut':
        torch.save({'state_dict': {'a': torch.ones(1000)}}, path)
        path.write_bytes(path.read_bytes()[:2000])
    elif isinstance(content, bytes):
        path.write_bytes(content)
    elif content is not None:
        torch.save(content, path)
    with pytest.raises(ValueError, match=message) as caught:
        read_checkpoint(path)
    assert str(caught.value).startswith(str(path)) and '\n' not in str(caught.value)
