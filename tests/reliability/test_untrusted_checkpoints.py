"""Files that run a program when they are unpickled: wherever a checkpoint is read, none does."""

from __future__ import annotations

import argparse
import importlib.util
import os
import sys
import warnings
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.runner import CheckpointLoader, load_checkpoint
from mmseg.apis import init_model
from mmseg.visualization import SegLocalVisualizer
from payloads import PAYLOADS, Call

from benchmarks.forked_training import CONFIG, make_data, run_config, train
from mmseg_ccdistill.prediction import page_command
from mmseg_ccdistill.runtime import command_line
from mmseg_ccdistill.runtime.checkpoint_file import TRUST_VARIABLE
from mmseg_ccdistill.runtime.command_line import run_main
from mmseg_ccdistill.runtime.resume import newest_good_checkpoint

ROOT = Path(__file__).resolve().parents[2]

KINDS = sorted(PAYLOADS)


@pytest.fixture(scope='module')
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_data(tmp_path_factory.mktemp('untrusted'))


@pytest.fixture
def config(data: Path, tmp_path: Path) -> Path:
    """The shipped config on a few frames, as a file."""
    night = data / 'dark_zurich'
    text = f"""
_base_ = {str(CONFIG)!r}
train_dataloader = dict(dataset=dict(
    source=dict(data_root={str(data / 'cityscapes')!r}), target=dict(data_root={str(night)!r})))
val_dataloader = dict(dataset=dict(data_root={str(night)!r}))
test_dataloader = val_dataloader
load_from = None
"""
    path = tmp_path / 'night.py'
    path.write_text(text)
    return path


def run_tool(monkeypatch: pytest.MonkeyPatch, script: str, *arguments: object) -> int:
    spec = importlib.util.spec_from_file_location(Path(script).stem, ROOT / 'tools' / script)
    assert spec is not None and spec.loader is not None
    tool = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tool)
    monkeypatch.setattr(sys, 'argv', [script, *map(str, arguments)])
    return run_main(tool.main)


@pytest.mark.parametrize('kind', KINDS)
def test_no_tool_runs_it(
    tmp_path: Path, config: Path, kind: str, monkeypatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """load_from, --resume, CHECKPOINT of test.py, and the export: one sentence, exit code 2."""
    work_dir, marker = tmp_path / 'run', tmp_path / 'executed'
    work_dir.mkdir()
    evil = work_dir / 'iter_2.pth'
    PAYLOADS[kind](evil, marker)
    (work_dir / 'last_checkpoint').write_text(str(evil))
    calls: dict[str, tuple[object, ...]] = {
        'load_from': ('train.py', config, '--cfg-options', f'load_from={evil}'),
        'resume': ('train.py', config, '--work-dir', work_dir, '--resume'),
        'checkpoint': ('test.py', config, evil),
        'export': ('model_converters/night2mmseg.py', config, evil, tmp_path / 'exported'),
    }
    for place, (script, *arguments) in calls.items():
        assert run_tool(monkeypatch, str(script), *arguments) == 2, place
        error = capsys.readouterr().err
        assert error.startswith('error: ') and 'iter_2.pth' in error, place
        assert not marker.exists(), place
    # The file does what its name says where code may run.
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')
        try:
            torch.load(evil, weights_only=False)
        except Exception as error:  # noqa: BLE001 - after the program has run, anything may follow
            assert marker.exists(), error
    assert marker.exists()


@pytest.mark.parametrize('kind', KINDS)
def test_nothing_that_loads_through_mmengine_runs_it(
    tmp_path: Path, config: Path, kind: str
) -> None:
    """Also in other people's programs: init_model, load_checkpoint, Pretrained weights."""
    marker, evil = tmp_path / 'executed', tmp_path / 'weights.pth'
    PAYLOADS[kind](evil, marker)
    backbone = Config.fromfile(str(config)).model.segmentor.backbone
    backbone.init_cfg = dict(type='Pretrained', checkpoint=str(evil))

    def pretrained() -> None:
        from mmseg.registry import MODELS

        MODELS.build(backbone).init_weights()

    for load in (
        lambda: CheckpointLoader.load_checkpoint(str(evil)),
        lambda: load_checkpoint(torch.nn.Linear(1, 1), str(evil)),
        lambda: init_model(str(config), str(evil), device='cpu'),
        pretrained,
        lambda: newest_good_checkpoint(tmp_path),
    ):
        if load is not pretrained or kind == 'system':
            try:
                load()
            except ValueError as error:
                assert 'weights.pth: expected' in str(error)
        assert not marker.exists()


def test_trust_pickle_runs_it_and_says_so(
    tmp_path: Path, config: Path, monkeypatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The weights do not fit the model, which is said after they were read."""
    marker, evil = tmp_path / 'executed', tmp_path / 'mine.pth'
    PAYLOADS['system'](evil, marker)
    monkeypatch.setenv(TRUST_VARIABLE, '')  # restored afterwards, whatever the tool sets
    SegLocalVisualizer._instance_dict.clear()
    arguments = ('test.py', config, evil, '--work-dir', tmp_path / 'tested', '--trust-pickle')
    assert run_tool(monkeypatch, *map(str, arguments)) == 2
    captured = capsys.readouterr()
    said = captured.out + captured.err
    assert marker.exists() and 'unpickling' in said and 'can run any program as you' in said


def parsers(monkeypatch: pytest.MonkeyPatch) -> dict[str, argparse.ArgumentParser]:
    """The parser of every tool, by its path below ``tools``."""
    found: dict[str, argparse.ArgumentParser] = {}

    def stop(parser: argparse.ArgumentParser, *args: object) -> None:
        found[script] = parser
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(argparse.ArgumentParser, 'parse_args', stop)
        for path in sorted((ROOT / 'tools').rglob('*.py')):
            script = str(path.relative_to(ROOT / 'tools'))
            if script != 'free_port.py':  # without a parser
                assert run_tool(monkeypatch, script) == 130, script
    return found


def test_every_tool_that_takes_the_flag_obeys_it(tmp_path: Path, monkeypatch) -> None:
    def obey(sentence: str) -> None:
        raise KeyboardInterrupt

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(command_line, 'warn', obey)
    for check in ('check_installed', 'check_address'):  # of the page: an extra, and a free port
        monkeypatch.setattr(page_command, check, lambda *args: None)
    codes = {}
    for script, parser in parsers(monkeypatch).items():
        if '--trust-pickle' not in parser._option_string_actions:
            continue
        arguments = ['--trust-pickle']
        for action in parser._actions:
            if action.required:
                value = next(iter(action.choices or ['gone.pth']))
                arguments += [*action.option_strings[:1], value]
        monkeypatch.setenv(TRUST_VARIABLE, '')
        codes[script] = run_tool(monkeypatch, script, *arguments), os.environ[TRUST_VARIABLE]
    assert 'test_night.py' in codes and codes == dict.fromkeys(codes, (130, '1'))


def test_without_the_flag_a_refused_file_never_falls_back(tmp_path: Path, monkeypatch) -> None:
    """The fork's own loader would unpickle after a refusal."""
    asked: list[object] = []
    load = torch.load

    def watched(*args: object, **kwargs: object) -> object:
        asked.append(kwargs.get('weights_only'))
        return load(*args, **kwargs)

    monkeypatch.setattr(torch, 'load', watched)
    path = tmp_path / 'weights.pth'
    PAYLOADS['system'](path, tmp_path / 'executed')
    with pytest.raises(ValueError, match='posix.system'):
        CheckpointLoader.load_checkpoint(str(path))
    assert asked == [True]


def test_a_stock_checkpoint_of_mmengine_starts_a_run(tmp_path: Path, monkeypatch) -> None:
    """Weights beside a log that torch refuses: read on a torch that is safe, refused on others."""
    from mmengine.logging import MessageHub

    hub = MessageHub('untrusted_stock')
    hub.update_scalar('train/loss', 0.5)
    path = tmp_path / 'iter_2.pth'
    torch.save(
        dict(state_dict=torch.nn.Linear(1, 1).state_dict(), message_hub=hub.state_dict()), path
    )
    model = torch.nn.Linear(1, 1)
    if tuple(map(int, torch.__version__.split('.')[:2])) >= (2, 10):
        load_checkpoint(model, str(path), strict=True)
    else:
        with pytest.raises(ValueError, match='this package did not write'):
            load_checkpoint(model, str(path))
        monkeypatch.setenv(TRUST_VARIABLE, '1')
        load_checkpoint(model, str(path), strict=True)


def test_a_run_that_can_only_resume_from_damage_does_not_begin_again(
    data: Path, tmp_path: Path
) -> None:
    """MMSegmentation's own --resume: what is there is not overwritten by a new run."""
    (tmp_path / 'iter_2.pth').write_bytes(b'PK\x03\x04 cut short')
    SegLocalVisualizer._instance_dict.clear()
    with pytest.raises(ValueError, match='nothing to resume from: .*iter_2.pth'):
        train(run_config(data, tmp_path))
    assert [path.name for path in tmp_path.glob('*.pth')] == ['iter_2.pth']


def test_the_payloads_are_of_many_kinds() -> None:
    assert len(KINDS) >= 6 and Call(len, 'x').__reduce__()[0] is len
