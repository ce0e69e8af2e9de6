from __future__ import annotations

import math

import numpy as np
import pytest
from written_run import ROWS

from mmseg_ccdistill.engine.hooks import CollapseAlarmHook
from mmseg_ccdistill.reports.curves import LIMITS, curves, group_keys


def test_every_logged_key_stands_under_one_heading() -> None:
    groups = group_keys([*ROWS, {'grad_norm': 1.0, 'light.level': 0.1, 'step': 5}])
    assert groups == {
        'Loss terms': ['loss', 'decode.loss_seg'],
        'Cor maps': ['cor.in_day_mean'],
        'Pseudo labels': ['pseudo.share'],
        'Relighting': ['light.level'],
        'Learning rate': ['lr'],
        'Time and memory': ['time', 'data_time', 'memory'],
        'Other values': ['grad_norm'],
    }


def test_a_panel_shows_the_logged_points_and_a_gap_for_nan() -> None:
    figure = curves({'a': ROWS, 'b': ROWS[:1]}, ['loss', 'lr'])
    panels = [axis for axis in figure.axes if axis.get_title(loc='left')]
    assert [axis.get_title(loc='left') for axis in panels] == ['loss', 'lr']
    first, second = panels[0].get_lines()
    np.testing.assert_array_equal(first.get_xdata(), [2, 4])
    assert first.get_ydata()[0] == 4.0 and math.isnan(first.get_ydata()[1])
    assert list(second.get_ydata()) == [4.0]
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ['a', 'b']


def test_limits_are_dotted_where_they_are_near() -> None:
    near = [{'cor.effective_rank': rank, 'step': k} for k, rank in enumerate((3.0, 9.0))]
    far = [{'cor.effective_rank': rank, 'step': k} for k, rank in enumerate((90.0, 91.0))]
    lines = [
        {
            float(line.get_ydata()[0])
            for line in curves({'a': rows}, list(rows[0])[:1]).axes[0].lines
        }
        for rows in (near, far)
    ]
    assert 4.0 in lines[0] and 4.0 not in lines[1]


@pytest.mark.parametrize('key', LIMITS)
def test_limits_are_those_of_the_alarms(key: str) -> None:
    (alarm,) = [alarm for alarm in CollapseAlarmHook().alarms if key in alarm.keys]
    for limit in LIMITS[key]:
        assert alarm.is_bad(limit + 1e-6) != alarm.is_bad(limit - 1e-6)
