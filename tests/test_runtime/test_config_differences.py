"""What differs between two configs is named by its place, with both values."""

from __future__ import annotations

import pytest

from mmseg_ccdistill.runtime.config_differences import ABSENT, config_differences


@pytest.mark.parametrize(
    ('first', 'second', 'expected'),
    [
        (dict(model=dict(type='A', a=1)), dict(model=dict(type='A', a=1)), []),
        (dict(model=dict(type='A', a=1)), dict(model=dict(type='A', a=2)), [('model.a', 1, 2)]),
        (dict(model=dict(type='A')), dict(model=dict(type='A', b=2)), [('model.b', ABSENT, 2)]),
        (dict(model=dict(type='A', b=2)), dict(model=dict(type='A')), [('model.b', 2, ABSENT)]),
        (
            dict(model=dict(type='A', a=1)),
            dict(model=dict(type='B', a=1)),
            [('model', dict(type='A', a=1), dict(type='B', a=1))],
        ),
        (
            dict(param_scheduler=[dict(type='PolyLR', end=5)]),
            dict(param_scheduler=[dict(type='PolyLR', end=9)]),
            [('param_scheduler.0.end', 5, 9)],
        ),
        (
            dict(param_scheduler=[dict(type='PolyLR')]),
            dict(param_scheduler=[dict(type='LinearLR'), dict(type='PolyLR')]),
            [('param_scheduler', [dict(type='PolyLR')], [dict(type='LinearLR'), dict(type='PolyLR')])],
        ),
        (dict(model=dict(a=(1, 2))), dict(model=dict(a=[1, 2])), []),
        (dict(model=dict(a=None)), dict(model=dict(a=0)), [('model.a', None, 0)]),
    ],
)  # fmt: skip
def test_values_by_place(first, second, expected) -> None:
    assert config_differences(first, second) == expected


def test_what_nothing_reads_and_where_a_run_writes_do_not_count() -> None:
    first = dict(crop_size=(1, 1), work_dir='a', val_dataloader=dict(batch_size=1))
    second = dict(crop_size=(2, 2), work_dir='b', val_dataloader=dict(batch_size=2))
    assert config_differences(first, second) == [('val_dataloader.batch_size', 1, 2)]
