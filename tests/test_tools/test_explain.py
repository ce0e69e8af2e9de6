"""tools/analysis_tools/explain.py, as a user calls it."""

from __future__ import annotations

import pytest
from tool_project import error_of, load_tool, run_tool


@pytest.fixture(scope='module')
def explain():
    return load_tool('tools/analysis_tools/explain.py')


def test_a_config_against_another(explain, monkeypatch, capsys) -> None:
    names = ('refinenet/refinenet_small_mini', '--against', 'refinenet/refinenet_small_mini')
    options = ('--cfg-options', 'train_cfg.max_iters=7')
    assert run_tool(explain, monkeypatch, *names, *options) == 0
    page = capsys.readouterr().out
    assert page.splitlines()[0].endswith('configs/refinenet/refinenet_small_mini.py')
    assert page.endswith(
        'differs from refinenet/refinenet_small_mini:\n  train_cfg.max_iters: 600 -> 7\n'
    )


@pytest.mark.parametrize(
    ('option', 'sentence'),
    [
        (
            'model.loss_cdc.js_tua=1',
            "gives CDCLoss the setting 'js_tua' (model.loss_cdc.js_tua): expected one that it has, such as 'js_tau'",
        ),
        (
            'model.loss_cdc.type=CDCLos',
            "has model.loss_cdc.type='CDCLos': expected a name of the registry mmseg::model, such as 'CDCLoss'",
        ),
        ('model.feature=nowhere.7', 'feature'),
    ],
)
def test_a_mistake_in_a_setting_is_one_sentence(
    explain, monkeypatch, capsys, option, sentence
) -> None:
    words = ('ccdistill/refinenet_small_mini_day2night', '--cfg-options', option)
    assert run_tool(explain, monkeypatch, *words) == 2
    assert sentence in error_of(capsys)
