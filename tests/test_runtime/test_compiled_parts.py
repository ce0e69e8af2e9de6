"""``compile``: which parts, which settings, and the sentence of a machine that cannot."""

from __future__ import annotations

import sysconfig
from pathlib import Path
from typing import Any

import pytest
import torch
from mmengine.config import Config
from mode_run import make_runner
from torch import nn

from mmseg_ccdistill.errors import UserInputError
from mmseg_ccdistill.runtime import compiled_parts
from mmseg_ccdistill.runtime.compiled_parts import check_compile, compile_networks, compile_options


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Settings of each call of torch.compile, which hands the function back; a count of its uses follows."""
    found: list[Any] = []

    def compile_(function: Any, **options: Any) -> Any:
        found.append(options)

        def used(*args: Any) -> Any:
            found.append('used')
            return function(*args)

        return used

    monkeypatch.setattr(torch, 'compile', compile_)
    return found


def test_backbones_and_heads_run_compiled_in_training_alone(calls: list[Any]) -> None:
    runner, _ = make_runner(1, compile=dict(mode='reduce-overhead'))
    names = list(runner.model.state_dict())
    runner.train()
    # two backbones, two heads; of a head also its last map, which a method may ask for
    assert calls.count(dict(mode='reduce-overhead')) == 6
    assert calls.count('used') == 4 + 2 * 4  # domains; a head calls its own last map
    assert list(runner.model.state_dict()) == names
    calls.clear()
    with torch.no_grad():
        runner.model.eval()(torch.zeros(1, 3, 64, 64))
    assert not calls


def test_without_the_switch_nothing_is_compiled(calls: list[Any]) -> None:
    for switches in ({}, dict(compile=False), dict(compile=None)):
        make_runner(1, **switches)[0].train()
    assert not calls


def test_options() -> None:
    assert compile_options({}) is None and compile_options(dict(compile=False)) is None
    assert compile_options(dict(compile=True)) == {}
    assert compile_options(dict(compile=dict(dynamic=False))) == dict(dynamic=False)


@pytest.mark.parametrize(
    'value, sentence',
    [
        ('fast', "compile is 'fast': expected True, False or a dict"),
        (dict(mode='fast'), "compile.mode is 'fast': expected one of default, reduce-overhead"),
    ],
)
def test_settings_that_there_are_not(value: Any, sentence: str) -> None:
    with pytest.raises(UserInputError, match=sentence):
        check_compile(Config(dict(compile=value)))


def test_parts_that_are_computed_again_are_not_compiled() -> None:
    config = Config(dict(compile=True, model=dict(recompute=('Bottleneck',))))
    with pytest.raises(UserInputError, match=r'compile and model\.recompute do not go together'):
        check_compile(config)
    config.model.recompute = ()
    assert compile_options(config) == {}


def test_a_machine_without_a_compiler(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    config = Config(dict(compile=True))
    monkeypatch.setenv('CXX', 'no-such-compiler')
    with pytest.raises(UserInputError, match="'no-such-compiler' was not found: install one"):
        check_compile(config)
    check_compile(Config(dict(compile=dict(backend='aot_eager'))))  # needs none
    check_compile(Config({}))
    monkeypatch.setenv('CXX', 'python3')
    monkeypatch.setattr(sysconfig, 'get_path', lambda name: str(tmp_path))
    with pytest.raises(UserInputError, match=r"compile needs Python's header, and .*Python\.h"):
        check_compile(config)
    (tmp_path / 'Python.h').touch()
    check_compile(config)
    monkeypatch.setattr(compiled_parts, 'get_device', lambda: 'cuda')
    monkeypatch.setenv('CC', 'python3')
    monkeypatch.setattr(compiled_parts.importlib.util, 'find_spec', lambda name: None)
    with pytest.raises(UserInputError, match='needs the package triton'):
        check_compile(config)


def test_a_model_without_parts_is_refused() -> None:
    with pytest.raises(UserInputError, match='EncoderDecoder, and Linear has none'):
        compile_networks(nn.Linear(1, 1), {})
