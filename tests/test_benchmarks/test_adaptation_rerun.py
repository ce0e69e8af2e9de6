"""A rerun beside stated results."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from adaptation_runs import results_of

from benchmarks.adaptation.command import main
from benchmarks.adaptation.rerun import rerun_table
from benchmarks.adaptation.results import write_report
from mmseg_ccdistill.engine.launch import UserInputError

STATED = {
    'wo_cdc_cds': {'0': 20.0, '1': 22.0, '2': 27.0},
    'full': {'0': 22.0, '1': 23.0, '2': 30.0},
    'oracle': {'0': 50.0, '1': 52.0, '2': 54.0},
    'wo_js': {'0': 21.0},
}


def test_by_hand() -> None:
    """Full: 25 with 10.8 on each side, to the baseline 2 with 2.48; the rerun has 24 and 4.8."""
    rerun = {
        'wo_cdc_cds': {'0': 19.1, '1': 19.3},
        'full': {'0': 23.9, '1': 24.1},
        'wo_cds': {'0': 1},
    }
    head, *rows = rerun_table(results_of(rerun), results_of(STATED), 'night')
    table = {row[0]: row[1:] for row in rows}
    assert head[0] == 'row' and list(table) == [
        'w/o CDC and CDS', 'full CCDistill', 'full CCDistill, to w/o CDC and CDS'
    ]  # fmt: skip
    assert table['full CCDistill'][:5] == ['25.0 [14.2, 35.8]', '3', '24.0', '2', 'yes']
    # Same seeds: 1.9 and 1.1; sd 0.5657, 12.706 · 0.5657 / √2 = 5.1.
    assert table['full CCDistill'][5] == '+1.5 [-3.6, +6.6]'
    difference = table['full CCDistill, to w/o CDC and CDS']
    assert difference[:5] == ['+2.0 [-0.5, +4.5]', '3', '+4.8', '2', 'no']
    # 4.8 - 2 and 4.8 - 1.
    assert difference[5] == '+3.3 [-3.1, +9.7]'


def test_one_stated_seed_has_no_interval_to_lie_in() -> None:
    line = rerun_table(results_of({'wo_js': {'0': 5.0}}), results_of(STATED), 'night')[1]
    assert line[1:6] == ['21.0 (n = 1, no interval)', '1', '5.0', '1', '']


def test_results_repeat_themselves(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    """Compared with itself every mean with an interval lies within it, and the difference is zero."""
    write_report(results_of(STATED), tmp_path, with_page=False)
    stated = tmp_path / 'results.json'
    main(['mini', '--report-only', '--out', str(tmp_path), '--compare', str(stated)])
    text = (tmp_path / 'rerun.md').read_text()
    assert text in capsys.readouterr().out
    assert '## mIoU on night' in text and '## mIoU on day (M_d)' in text
    lines = [line for line in text.splitlines() if re.search(r'\[', line)]
    assert len(lines) == 2 * (3 + 2)
    for line in lines:
        cells = [cell.strip() for cell in line.strip('|').split('|')]
        assert cells[-2:] == ['yes', '+0.0 [+0.0, +0.0]']


@pytest.mark.parametrize('words', [['--dry-run'], ['--dry-run', '--adapt-iters', '7']])
def test_other_settings_are_refused_before_anything_runs(tmp_path: Path, words: list[str]) -> None:
    write_report(results_of(STATED), tmp_path, with_page=False)
    stated = str(tmp_path / 'results.json')
    with pytest.raises(UserInputError, match=r"--compare: '.*results.json' is of the suite mini"):
        main(['mini', *words, '--work-dir', str(tmp_path / 'work'), '--compare', stated])
    assert not (tmp_path / 'work').exists()


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserInputError, match='none.json'):
        main(['mini', '--dry-run', '--compare', str(tmp_path / 'none.json')])
