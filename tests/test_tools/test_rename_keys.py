"""A checkpoint of another trainer: what the refusal says, done, starts the run."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.logging import MessageHub, MMLogger
from tool_project import error_of, load_tool, make_project, run_tool

from mmseg_ccdistill.runtime.checkpoint_file import OWN_KEY

_RUN = """
optim_wrapper = dict(type='OptimWrapper', optimizer=dict(type='SGD', lr=0.01))
train_cfg = dict(type='IterBasedTrainLoop', max_iters=1)
test_cfg = dict(type='TestLoop')
test_evaluator = dict(type='IoUMetric')
"""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Working directory with ``tiny.py`` (CCDistill), ``source.py`` and their checkpoints."""
    make_project(tmp_path)
    for name in ('tiny.py', 'source.py'):
        hook = "custom_hooks = [dict(type='CheckpointMatchHook')]\n"
        (tmp_path / name).write_text((tmp_path / name).read_text() + _RUN + hook)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def train(monkeypatch: pytest.MonkeyPatch, config: str) -> int:
    for kept in (MMLogger, MessageHub):  # mmengine keeps one for the life of a process
        kept._instance_dict.clear()
    options = ['--cfg-options', 'load_from=foreign.pth']
    return run_tool(load_tool('tools/train.py'), monkeypatch, config, *options)


def write(project: Path, name: str, prefix: str, key: str) -> None:
    state = torch.load(project / name, weights_only=True)['state_dict']
    foreign = {prefix + k: v for k, v in state.items()}
    content = {key: foreign, 'meta': {OWN_KEY: '0'}}
    torch.save(content, project / 'foreign.pth')


@pytest.mark.parametrize('config', ['tiny', 'source'])
@pytest.mark.parametrize(
    ('weights', 'prefix', 'key', 'options'),
    [
        ('source.pth', 'model.', 'state_dict', '--strip model.'),
        ('source.pth', '_orig_mod.', 'state_dict', '--strip _orig_mod.'),
        ('source.pth', '', 'ema_state_dict', '--take ema_state_dict'),
    ],
)
def test_the_command_of_the_sentence_makes_it_fit(
    project: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    config: str,
    weights: str,
    prefix: str,
    key: str,
    options: str,
) -> None:
    write(project, weights, prefix, key)
    assert train(monkeypatch, f'{config}.py') == 2
    command = re.search(r'python (\S+) SRC DST (.*)$', error_of(capsys))
    assert command is not None and command[2] == options
    (project / 'foreign.pth').rename(project / 'old.pth')
    words = command[2].split()
    assert run_tool(load_tool(command[1]), monkeypatch, 'old.pth', 'foreign.pth', *words) == 0
    assert train(monkeypatch, f'{config}.py') == 0


def test_a_whole_model_with_a_prefix_keeps_its_branches(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write(project, 'tiny.pth', 'net.', 'state_dict')
    assert train(monkeypatch, 'tiny.py') == 2
    assert error_of(capsys).endswith('--strip net.')


@pytest.mark.parametrize('config', ['tiny', 'source'])
@pytest.mark.parametrize('trust', [False, True])
@pytest.mark.parametrize('kind', ['empty', 'arrays'])
def test_weights_that_are_none_never_start_a_run(
    project: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    config: str,
    trust: bool,
    kind: str,
) -> None:
    """Trusted, a file is not read before the model is built; the hook finds it out."""
    monkeypatch.setenv('MMSEG_CCDISTILL_TRUST_PICKLE', '1' if trust else '0')
    state = torch.load(project / 'source.pth', weights_only=True)['state_dict']
    arrays = {k: np.asarray(v) for k, v in state.items()} if kind == 'arrays' else {}
    torch.save({'state_dict': arrays, 'meta': {OWN_KEY: '0'}}, project / 'foreign.pth')
    assert train(monkeypatch, f'{config}.py') == 2
    error = error_of(capsys)
    assert 'foreign.pth: ' in error
    assert 'holds no tensors' in error or 'plain values alone' in error  # torch before 2.10


@pytest.mark.parametrize(
    ('dst', 'sentence'),
    [
        (
            'tiny.py/x/a.pth',
            "nothing can be written into 'tiny.py/x' (Not a directory): expected a folder with the right to write; ",
        ),
        ('data', "'data' is a folder: expected the name of a file; "),
    ],
)
@pytest.mark.parametrize('force', [[], ['--force']])
def test_a_file_that_cannot_be_written_is_one_sentence(
    project: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    dst: str,
    sentence: str,
    force: list[str],
) -> None:
    tool = load_tool('tools/model_converters/rename_keys.py')
    assert run_tool(tool, monkeypatch, 'gone.pth', dst, '--add', 'net.', *force) == 2
    assert error_of(capsys) == f'{sentence}choose another DST'


def test_nothing_is_overwritten(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    tool = load_tool('tools/model_converters/rename_keys.py')
    before = (project / 'tiny.pth').read_bytes()
    assert run_tool(tool, monkeypatch, 'source.pth', 'tiny.pth', '--add', 'net.') == 2
    assert error_of(capsys).startswith('tiny.pth exists')
    assert (project / 'tiny.pth').read_bytes() == before
    assert run_tool(tool, monkeypatch, 'source.pth', 'new.pth', '--strip', 'net.') == 2
    assert error_of(capsys).startswith('source.pth: no tensor has such a name')
    assert not (project / 'new.pth').exists()
    assert run_tool(tool, monkeypatch, 'source.pth', 'tiny.pth', '--add', 'net.', '--force') == 0
