from __future__ import annotations

from pathlib import Path

import pytest
from mmengine.config import Config
from written_run import write_run

from mmseg_ccdistill.reports.changed_settings import changed_settings, find_base, flat
from mmseg_ccdistill.reports.run_folder import read_run


def test_lists_of_parts_have_their_index_in_the_key_and_others_are_values() -> None:
    settings = dict(a=dict(b=1), schedule=[dict(end=4)], mean=(1, 2), empty={})
    assert dict(flat(settings)) == {'a.b': 1, 'schedule.0.end': 4, 'mean': [1, 2], 'empty': {}}


def test_what_a_run_changed_added_and_left_out() -> None:
    base = Config(
        dict(
            model=dict(lr=0.1, size=(1, 2), gone='x'), work_dir='a', resume=False, crop_size=(8, 8)
        )
    )
    ours = Config(dict(model=dict(lr=0.2, size=[1, 2], new=dict(k=1)), work_dir='b', resume=True))
    assert changed_settings(base, ours) == [
        ('model.gone', "'x'", '(not set)'),
        ('model.lr', '0.1', '0.2'),
        ('model.new.k', '(not set)', '1'),
    ]


def test_a_long_value_is_cut() -> None:
    (change,) = changed_settings(Config(dict(load_from='x' * 500)), Config(dict(load_from='y')))
    assert len(change[1]) == 160 and change[1].endswith('…')


def test_the_base_is_the_config_of_the_same_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    run = read_run(write_run(tmp_path / 'work_dirs/one/small'))
    assert find_base(run) is None
    for folder in ('one', 'two'):
        (tmp_path / 'configs' / folder).mkdir(parents=True)
        (tmp_path / 'configs' / folder / 'small.py').write_text('')
    assert find_base(run) == Path('configs/one/small.py')
    other = read_run(write_run(tmp_path / 'work_dirs/three/small'))
    assert find_base(other) is None


def test_a_shipped_config_is_found_from_anywhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    run = read_run(write_run(tmp_path / 'w', name='refinenet_small_mini_day2night'))
    run_of_method = read_run(write_run(tmp_path / 'ccdistill/w', name='refinenet_r101_cs2dz'))
    base = find_base(run_of_method)
    assert base is not None and base.parent.name == 'ccdistill'
    assert find_base(run) is None  # several methods have one of this name
