from __future__ import annotations

import math
from pathlib import Path

import pytest
from scipy import stats
from written_run import write_run, write_scores

from mmseg_ccdistill.reports.comparison import (
    final_scores,
    group_by_settings,
    run_titles,
    runs_table,
    seeds_table,
    settings_table,
)
from mmseg_ccdistill.reports.run_folder import Run, read_run


@pytest.fixture
def runs(tmp_path: Path) -> list[Run]:
    """Two rows of two seeds; the second differs in its learning rate."""
    values = [
        ('a', 1, 0.01, 30.0),
        ('a', 2, 0.01, 34.0),
        ('b', 1, 0.02, 33.0),
        ('b', 2, 0.02, 38.0),
    ]
    return [
        read_run(write_run(tmp_path / f'{row}/seed{seed}', seed, lr, miou, name=row))
        for row, seed, lr, miou in values
    ]


def test_runs_that_differ_in_the_seed_alone_are_one_group(runs: list[Run]) -> None:
    assert group_by_settings(runs) == [[0, 1], [2, 3]]
    assert run_titles(runs) == ['a/seed1', 'a/seed2', 'b/seed1', 'b/seed2']
    assert run_titles(runs[:2]) == ['seed1', 'seed2']


def test_means_have_the_interval_of_student(runs: list[Run]) -> None:
    rows = [row for row in seeds_table(runs) if row[0] == 'mIoU']
    assert [row[1:4] for row in rows] == [
        ['a', '2', '32.00'],
        ['b', '2', '35.50'],
        ['b minus a', '2', '+3.50'],
    ]
    half = stats.t.ppf(0.975, 1) * math.sqrt(8) / math.sqrt(2)  # 30 and 34: variance 8
    assert rows[0][4:] == [f'{32 - half:.2f} to {32 + half:.2f}', '2.83', '30.00', '34.00']
    half = stats.t.ppf(0.975, 1) * math.sqrt(0.5) / math.sqrt(2)  # 3 and 4
    assert rows[2][4] == f'{3.5 - half:+.2f} to {3.5 + half:+.2f}'


def test_one_seed_has_no_interval(runs: list[Run]) -> None:
    rows = seeds_table([runs[0], runs[2]])
    assert ['mIoU', 'a', '1', '30.00', 'one seed: none', '', '30.00', '30.00'] in rows


def test_two_runs_of_one_seed_both_count(runs: list[Run], tmp_path: Path) -> None:
    again = read_run(write_run(tmp_path / 'again', 1, 0.01, 32.0, name='a'))
    (row,) = [row for row in seeds_table([runs[0], again]) if row[0] == 'mIoU']
    assert row[2:4] == ['2', '31.00']


def test_scores_of_tested_sets_stand_beside_the_validation(runs: list[Run]) -> None:
    write_scores(runs[0].folder)
    assert final_scores(runs[0]) == {'aAcc': 60.0, 'mIoU': 30.0, 'DZ-val: mIoU': 25.0}
    head, first, second, *_ = runs_table(runs)
    assert head == ['run', 'config', 'seed', 'iterations', 'DZ-val: mIoU', 'mIoU', 'aAcc']
    assert first == ['a/seed1', 'a', '1', '4', '25.00', '30.00', '60.00']
    assert second[4] == ''


def test_settings_that_differ_have_a_column_for_each_run(runs: list[Run]) -> None:
    assert settings_table([runs[0], runs[3]]) == [
        ['setting', 'seed1', 'seed2'],
        ['optim_wrapper.optimizer.lr', '0.01', '0.02'],
        ['randomness.seed', '1', '2'],
    ]


def test_scores_on_different_sets_are_not_compared(runs: list[Run]) -> None:
    for run, folder in ((runs[0], 'day'), (runs[2], 'night')):
        run.config.val_dataloader = dict(dataset=dict(data_prefix=dict(img_path=folder)))
    names = {tuple(row[:2]) for row in seeds_table([runs[0], runs[2]])[1:] if 'mIoU' in row[0]}
    assert names == {('day: mIoU', 'a'), ('night: mIoU', 'b')}
