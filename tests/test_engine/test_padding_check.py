from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmseg.registry import MODELS
from test_method_runs import data  # noqa: F401
from test_self_training_run import write_config
from tool_project import load_tool, run_tool
from torch import nn

from mmseg_ccdistill.engine.padding_check import check_padding
from mmseg_ccdistill.errors import UserInputError
from mmseg_ccdistill.models.data_preprocessors import CrossDomainPreprocessor


def model(kind: str = 'CrossDomainPreprocessor', **settings: Any) -> nn.Module:
    init_default_scope('mmseg')
    holder = nn.Module()
    holder.data_preprocessor = MODELS.build(dict(type=kind, **settings))
    return holder


@pytest.mark.parametrize('kind', ['CrossDomainPreprocessor', 'SegDataPreProcessor'])
@pytest.mark.parametrize(
    'settings', [{}, dict(size=None), dict(size=(32, 32), size_divisor=1), dict(test_cfg={})]
)
def test_a_model_that_says_no_size_or_two_is_refused(kind: str, settings: dict[str, Any]) -> None:
    with pytest.raises(UserInputError) as caught:
        check_padding(model(kind, **settings))
    size, divisor = settings.get('size'), settings.get('size_divisor')
    assert str(caught.value).startswith(
        f'model.data_preprocessor has size={size} and size_divisor={divisor}: expected one of them'
    )


def test_what_mmseg_can_pad_to_needs_no_word() -> None:
    check_padding(model(size=(32, 32)))
    check_padding(model(size_divisor=1))
    check_padding(nn.Identity())
    own = model(size=None)
    own.data_preprocessor.__class__ = type('Own', (CrossDomainPreprocessor,), {})
    check_padding(own)


def test_a_run_ends_before_its_first_batch(
    data: Path,  # noqa: F811
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path / 'cache'))
    config = Config.fromfile(str(write_config(tmp_path, data)))
    config.model.data_preprocessor.size = None
    config.dump(str(tmp_path / 'without.py'))
    arguments = (str(tmp_path / 'without.py'), '--work-dir', str(tmp_path / 'run'))
    assert run_tool(load_tool('tools/train.py'), monkeypatch, *arguments) == 2
    error = capsys.readouterr().err
    assert 'model.data_preprocessor has size=None and size_divisor=None: expected one' in error
    assert 'Traceback' not in error
