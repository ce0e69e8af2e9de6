"""The config in a checkpoint is data: plain values are read, and nothing is executed."""

from __future__ import annotations

import math

import pytest
from mmengine.config import Config

from mmseg_ccdistill.runtime.config_text import ConfigTextError, plain_values

CONFIGS = [
    'configs/ccdistill/refinenet_r101_cs2dz.py',
    'configs/ccdistill/refinenet_small_mini_day2night_plus.py',
    'configs/dannet/refinenet_r101_cs2dz.py',
    'configs/mgcda/refinenet_small_mini_day2night.py',
]


@pytest.mark.parametrize('path', CONFIGS)
def test_reads_what_mmengine_writes(path) -> None:
    config = Config.fromfile(path)
    assert plain_values(config.pretty_text) == config.to_dict()


def test_numbers_have_their_values() -> None:
    found = plain_values("a = dict(b=-1.5, c=inf, d=-inf, e={'x y': (1, [None, True])}, f=nan)\n")
    assert math.isnan(found['a'].pop('f'))
    assert found == {
        'a': {'b': -1.5, 'c': math.inf, 'd': -math.inf, 'e': {'x y': (1, [None, True])}}
    }


@pytest.mark.parametrize(
    ('text', 'reason'),
    [
        ('import os', 'line 1 is no plain value: import os'),
        (
            "a = 1\nmodel = dict(type=__import__('os'))",
            "line 2 is no plain value: __import__('os')",
        ),
        ("open('evil', 'w')", "line 1 is no plain value: open('evil', 'w')"),
        ('a = dict(**b)', 'line 1 is no plain value: dict(**b)'),
        ('a = [x for x in ()]', 'line 1 is no plain value: [x for x in ()]'),
        ('a.b = 1', 'line 1 is no plain value: a.b = 1'),
        ('a = (', 'it is no text of a config (SyntaxError)'),
        ('a = {**b}', 'line 1 is no plain value: {**b}'),
        ('a = 1\x00', 'it is no text of a config'),
    ],
)
def test_refuses_programs(text, reason, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigTextError) as caught:
        plain_values(text)
    assert str(caught.value).startswith(reason)
    assert list(tmp_path.iterdir()) == []
