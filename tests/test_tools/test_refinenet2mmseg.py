from __future__ import annotations

import importlib.util
import pickle
from pathlib import Path
from types import ModuleType

import pytest
import torch

from mmseg_ccdistill.models.decode_heads.refinenet_keys import refinenet_head_keys, resnet_keys
from mmseg_ccdistill.runtime.checkpoint_file import load_checkpoint_file
from mmseg_ccdistill.runtime.command_line import run_main

#: From here on torch reads files from elsewhere without executing code in them; before, the user must ask for it.
SAFE_TORCH = tuple(int(part) for part in torch.__version__.split('.')[:2]) >= (2, 10)
TRUST = 'MMSEG_CCDISTILL_TRUST_PICKLE'


@pytest.fixture(scope='module')
def tool(repository_root: Path) -> ModuleType:
    path = repository_root / 'tools' / 'model_converters' / 'refinenet2mmseg.py'
    spec = importlib.util.spec_from_file_location('refinenet2mmseg', path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(autouse=True)
def undo_trust(monkeypatch: pytest.MonkeyPatch) -> None:
    """``--trust-pickle`` lasts as long as the process; here, as long as a test."""
    monkeypatch.setenv(TRUST, '0')


def convert(tool: ModuleType, *arguments: object, trust: bool = not SAFE_TORCH) -> int:
    flag = ['--trust-pickle'] if trust else []
    return run_main(lambda: tool.main([str(argument) for argument in arguments] + flag))


def write_public(path: Path) -> dict[str, torch.Tensor]:
    names = resnet_keys(101) + list(refinenet_head_keys()) + ['fc.weight', 'fc.bias']
    state = {name: torch.tensor(float(i)) for i, name in enumerate(names)}
    torch.save(state, path)
    return state


def test_converts_and_counts(tool: ModuleType, tmp_path: Path, capsys) -> None:
    state = write_public(tmp_path / 'public.pth')
    out = tmp_path / 'new' / 'ours.pth'
    assert convert(tool, tmp_path / 'public.pth', out) == 0
    text = capsys.readouterr().out
    assert '712 tensors (624 backbone, 88 decode head), 2 skipped' in text
    checkpoint = torch.load(out, weights_only=True)
    converted = checkpoint['state_dict']
    assert len(converted) == 712
    assert torch.equal(converted['decode_head.conv_seg.bias'], state['clf_conv.bias'])
    assert [p.name for p in out.parent.iterdir()] == ['ours.pth']
    load_checkpoint_file(out)  # as load_from reads it, under any torch, without --trust-pickle


def test_does_not_overwrite_unless_told(tool: ModuleType, tmp_path: Path, capsys) -> None:
    write_public(tmp_path / 'public.pth')
    out = tmp_path / 'ours.pth'
    out.write_text('precious')
    assert convert(tool, tmp_path / 'public.pth', out) == 2
    assert '--force' in capsys.readouterr().err and out.read_text() == 'precious'
    assert convert(tool, tmp_path / 'public.pth', out, '--force') == 0
    assert len(torch.load(out, weights_only=True)['state_dict']) == 712


class Payload:
    """Runs a command when it is unpickled."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple:
        return Path.touch, (self.marker,)


def test_executes_no_code_in_a_checkpoint(tool: ModuleType, tmp_path: Path, capsys) -> None:
    marker = tmp_path / 'executed'
    torch.save({'conv1.weight': Payload(marker)}, tmp_path / 'evil.pth')
    assert convert(tool, tmp_path / 'evil.pth', tmp_path / 'out.pth', trust=False) == 2
    assert not marker.exists() and not (tmp_path / 'out.pth').exists()
    assert 'evil.pth: expected tensors and plain values alone' in capsys.readouterr().err
    # The payload does what it says when code is allowed.
    pickle.loads(pickle.dumps(Payload(marker)))
    assert marker.exists()


@pytest.mark.parametrize(
    ('content', 'message'),
    [
        (None, 'no such file'),
        (b'not a checkpoint', 'expected a checkpoint of a training run'),
        ([1, 2], 'expected a state dict'),
        ({'a': 1}, 'expected a state dict'),
        ({'state_dict': {'a': torch.zeros(1)}}, 'unknown keys (a)'),
    ],
)
def test_a_wrong_file_is_named(
    tool: ModuleType, tmp_path: Path, capsys, content: object, message: str
) -> None:
    src = tmp_path / 'src.pth'
    if isinstance(content, bytes):
        src.write_bytes(content)
    elif content is not None:
        torch.save(content, src)
    assert convert(tool, src, tmp_path / 'out.pth') == 2
    error = capsys.readouterr().err
    assert str(src) in error and message in error and not (tmp_path / 'out.pth').exists()
