"""A rerun beside stated results."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from adaptation_runs import results_of

from benchmarks.adaptation import command
from benchmarks.adaptation.command import main
from benchmarks.adaptation.rerun import rerun_table
from benchmarks.adaptation.results import write_report
from mmseg_ccdistill.errors import UserInputError

STATED = {
    'wo_cdc_cds': {'0': 20.0, '1': 22.0, '2': 27.0},
    'full': {'0': 22.0, '1': 23.0, '2': 30.0},
    'oracle': {'0': 50.0, '1': 52.0, '2': 54.0},
    'wo_js': {'0': 21.0},
}


def lines_of(rerun: dict[str, dict[str, float]], stated: Any = STATED) -> dict[str, list[str]]:
    """Cells of each line by its title."""
    _, *rows = rerun_table(results_of(rerun), results_of(stated), 'night')
    return {row[0]: row[1:] for row in rows}


def test_by_hand() -> None:
    """Full: 22, 23, 30 is 25 with 10.8 on each side, 2 to the baseline with 2.48; the rerun is at 24 and 4.8."""
    rerun = {
        'wo_cdc_cds': {'0': 19.1, '1': 19.3, '2': 19.2, '3': 70.0},
        'full': {'0': 23.9, '1': 24.1, '2': 24.0},
        'wo_cds': {'0': 1.0},
    }
    lines = lines_of(rerun)
    assert list(lines) == [
        'w/o CDC and CDS',
        'full CCDistill',
        'full CCDistill, to w/o CDC and CDS',
    ]
    assert lines['full CCDistill'][:4] == ['3', '25.0 [14.2, 35.8]', '24.0', 'yes']
    # 1.9, 1.1 and -6: sd 4.3486, 4.302653 · 4.3486 / √3 = 10.8.
    assert lines['full CCDistill'][4] == '-1.0 [-11.8, +9.8]'
    difference = lines['full CCDistill, to w/o CDC and CDS']
    assert difference[:4] == ['3', '+2.0 [-0.5, +4.5]', '+4.8', 'no']
    # 4.8 - 2, 4.8 - 1 and 4.8 - 3: sd 1, 2.48.
    assert difference[4] == '+2.8 [+0.3, +5.3]'


@pytest.mark.parametrize(
    ('shift', 'within'), [(-11.0, 'no'), (-10.0, 'yes'), (10.0, 'yes'), (11.0, 'no')]
)
def test_both_ends_of_the_interval_count(shift: float, within: str) -> None:
    rerun = {'full': {seed: value + shift for seed, value in STATED['full'].items()}}
    assert lines_of(rerun)['full CCDistill'][3] == within


def test_a_rerun_of_some_seeds_stands_beside_those_seeds() -> None:
    """Equal runs lie within, however far the other seeds are."""
    stated = {'full': {'0': 22.0, '1': 23.0, '2': 60.0, '3': 61.0}}
    cells = lines_of({'full': {'0': 22.0, '1': 23.0}}, stated)['full CCDistill']
    assert cells == ['2', '22.5 [16.1, 28.9]', '22.5', 'yes', '+0.0 [+0.0, +0.0]']


def test_one_seed_has_no_interval_to_lie_in() -> None:
    cells = lines_of({'wo_js': {'0': 5.0}})['w/o L_JS']
    assert cells == ['1', '21.0 (n = 1, no interval)', '5.0', '', '-16.0 (n = 1, no interval)']


def test_without_a_common_baseline_there_is_no_difference_to_it() -> None:
    rerun = {name: STATED[name] for name in ('wo_cdc_cds', 'full')}
    assert list(lines_of(rerun, {'full': STATED['full']})) == ['full CCDistill']
    assert lines_of({'full': {'7': 1.0}}) == {}


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


def test_nothing_in_common_is_said(tmp_path: Path) -> None:
    for name, rows in (('stated', STATED), ('own', {'full': {'7': 1.0}})):
        write_report(results_of(rows), tmp_path / name, with_page=False)
    stated = str(tmp_path / 'stated/results.json')
    main(['mini', '--report-only', '--out', str(tmp_path / 'own'), '--compare', stated])
    assert (tmp_path / 'own/rerun.md').read_text() == '# Rerun\n\nNo row was measured in both.\n'


def test_a_finished_suite_is_compared(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    """After a run, but not after --dry-run, which leaves nothing to compare."""
    write_report(results_of(STATED), tmp_path / 'stated', with_page=False)

    def run(args: Any, argv: Any) -> int:
        write_report(results_of(STATED), args.out, with_page=False)
        return 0

    monkeypatch.setattr(command, 'run_suite', run)
    words = [
        'mini',
        '--out',
        str(tmp_path / 'own'),
        '--compare',
        str(tmp_path / 'stated/results.json'),
    ]
    main([*words, '--dry-run'])
    assert not (tmp_path / 'own/rerun.md').exists()
    main(words)
    assert '+0.0 [+0.0, +0.0]' in (tmp_path / 'own/rerun.md').read_text()
    assert '# Rerun' in capsys.readouterr().out


@pytest.mark.parametrize(
    ('stated', 'words'),
    [
        (dict(first_world=201), ['--adapt-iters', '7']),
        (dict(first_world=202), []),
        (dict(first_world=201, suite='real'), []),
    ],
)
def test_other_settings_are_refused_before_anything_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stated: dict[str, Any], words: list[str]
) -> None:
    monkeypatch.setattr(command, 'render_worlds', lambda *_: pytest.fail('rendered'))
    monkeypatch.setattr(command, 'run_stages', lambda *args: pytest.fail('trained'))
    suite = stated.get('suite', 'mini')
    results = {**results_of(STATED, first_world=stated['first_world']), 'suite': suite}
    (tmp_path / 'results.json').write_text(json.dumps(results))
    with pytest.raises(
        UserInputError, match=rf"--compare: '.*results.json' is of the suite {suite}"
    ):
        main([
            'mini', *words, '--work-dir', str(tmp_path / 'work'),
            '--compare', str(tmp_path / 'results.json'),
        ])  # fmt: skip


@pytest.mark.parametrize(
    ('name', 'message'), [('none.json', 'does not exist'), ('', 'is not readable as JSON')]
)
def test_a_file_that_cannot_be_read_is_named(tmp_path: Path, name: str, message: str) -> None:
    with pytest.raises(UserInputError, match=message):
        main(['mini', '--dry-run', '--work-dir', str(tmp_path), '--compare', str(tmp_path / name)])
