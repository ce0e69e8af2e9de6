"""The table of systems side by side, and tables between marks of a docs page."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from adaptation_runs import results_of

from benchmarks.adaptation import step_times
from benchmarks.adaptation.measured import mious
from benchmarks.adaptation.results import write_report
from benchmarks.adaptation.rows import HEADLINE, ROWS
from benchmarks.adaptation.suites import SUITES, choose_rows
from benchmarks.adaptation.systems_table import main, systems_table, without_largest_class
from benchmarks.adaptation.tables import interval_text
from benchmarks.docs_marks import marks, section, write_section
from benchmarks.repository import ROOT
from mmseg_ccdistill.errors import UserInputError
from mmseg_ccdistill.evaluation.report import markdown_table
from mmseg_ccdistill.reports.seed_statistics import closed_share, paired_difference, spread

#: Tables of the docs by mark: page, results, times, set, the row that is compared with, rows.
DOCS_TABLES = {
    'mini night': ('table1.md', 'table1_mini', 'step_times_mini', 'night', 'full', ['all']),
    'real frames': ('table1.md', 'table1_real', 'step_times_real', 'night', 'full', ['all']),
    'real dusk': ('table1.md', 'table1_real', 'step_times_real', 'dusk', 'full', ['all']),
}
PRETRAINED = ('studies/pretrained.md', 'pretrained', 'step_times_pretrained', 'night', 'wo_cdc_cds')
#: Rows of the tables of the suite from ImageNet weights.
PRETRAINED_ROWS = {
    'pretrained': ['headline', 'plus_handover', 'wo_cdc_cds_long'],
    'pretrained oracles': ['wo_cdc_cds', 'oracles', 'oracle'],
}
DOCS_TABLES |= {mark: (*PRETRAINED, rows) for mark, rows in PRETRAINED_ROWS.items()}
#: Those of its whole runs anew.
PARTS = ('studies/pretrained.md', 'pretrained_parts', 'step_times_pretrained', 'night')
PARTS_ROWS = {
    'pretrained table 3': ('full', ['wo_cdc_cds', 'full', 'ablations']),
    'pretrained self-training': (
        'matched',
        [
            *('wo_cdc_cds', 'matched', 'plus_handover', 'wo_self_training'),
            *('st', 'st_keep_static', 'st_both', 'st_alone'),
        ],
    ),
}
DOCS_TABLES |= {mark: (*PARTS, *shown) for mark, shown in PARTS_ROWS.items()}
CITIES = ('studies/pretrained.md', 'two_cities', 'step_times_two_cities')
DOCS_TABLES |= {
    f'two cities, {dataset}': (*CITIES, dataset, 'wo_cdc_cds', ['headline', 'plus'])
    for dataset in ('night', 'dusk')
}
FRESH = ('studies/pretrained.md', 'pretrained_fresh', 'step_times_pretrained', 'night')
DOCS_TABLES['pretrained table 1'] = (*FRESH, 'full', ['headline', 'plus', 'rivals'])
#: The worlds that only the `plus` of today has seen.
DOCS_TABLES['pretrained fresh'] = (
    *FRESH,
    'wo_cdc_cds',
    [
        *('headline', 'plus', 'plus_handover', 'wo_self_training'),
        *('wo_cdc_cds_long', 'wo_cdc_cds_rare_lights'),
    ],
)


@pytest.fixture
def results() -> dict[str, Any]:
    found = results_of(
        {
            'source_only': {'0': 10.0, '1': 12.0},
            'full': {'0': 20.0, '1': 22.0},
            'oracle': {'0': 50.0, '1': 50.0},
            'dannet': {'0': 24.0, '1': 28.0},
        }
    )
    for row, iou in (('full', (40.0, 10.0, 10.0)), ('dannet', (70.0, 8.0, 12.0))):
        for run in found['runs'][row].values():
            scores = run['sets']['night']
            scores['IoU'] = [None] * 19
            scores['IoU'][:3] = iou
            scores['label_pixels'] = [9, 9, 9] + [0] * 16
            run.update(iters=600, cost={'tflop': 0.0474, 'gib': 0.19})
    return found


def test_systems_by_hand(results: dict[str, Any]) -> None:
    """Differences are paired by seed: 24 - 20 = 4 and 28 - 22 = 6, Student's t of one degree is 12.706."""
    head, *rows = systems_table(results, 'night')
    of_row = {row[0]: dict(zip(head, row, strict=True)) for row in rows}
    assert list(of_row) == ['source-only', 'full CCDistill', 'oracle (labels of T_n)', 'DANNet']
    dannet = of_row['DANNet']
    assert dannet['to full CCDistill'] == '+5.0 [-7.7, +17.7]'
    assert dannet['to source-only'] == '+15.0 [+2.3, +27.7]'
    assert dannet['mIoU on night'] == '26.0 [0.6, 51.4]'
    assert dannet['share of the gap, %'] == '38'  # 15 of 39
    assert dannet['TFLOP of a step'] == '0.047' and dannet['activations, GiB'] == '0.190'
    assert of_row['full CCDistill']['to full CCDistill'] == '0'
    assert of_row['oracle (labels of T_n)']['share of the gap, %'] == ''


def test_the_class_that_carries_a_difference(results: dict[str, Any]) -> None:
    """Road gains 30, sidewalk loses 2, building gains 2: without road nothing is left."""
    assert without_largest_class(results, 'dannet', 'full', 'night') == (0.0, 'road')
    assert without_largest_class(results, 'full', 'dannet', 'night') == (0.0, 'road')
    assert without_largest_class(results, 'dannet', 'wo_cdc', 'night') is None


def test_a_predicted_class_that_no_label_has_brings_the_mean_without_it(
    results: dict[str, Any],
) -> None:
    """MMSegmentation's mean counts it as 0, so a row that predicts it seems to lose."""
    for runs in results['runs'].values():
        for run in runs.values():
            scores = run['sets']['night']
            scores['mIoU_present'] = scores['mIoU']
            scores['label_pixels'] = [9] * 3 + [0] * 16
            scores['IoU'] = scores['IoU'][:3] + [None] * 16
    assert 'mIoU_present' not in systems_table(results, 'night')[0]
    for seed, present in (('0', 27.0), ('1', 31.0)):
        scores = results['runs']['dannet'][seed]['sets']['night']
        scores['IoU'][3], scores['mIoU_present'] = 0.0, present
    head, *rows = systems_table(results, 'night')
    of_row = {row[0]: dict(zip(head, row, strict=True)) for row in rows}
    dannet = of_row['DANNet']
    assert dannet['mIoU_present'] == '29.0 [3.6, 54.4]'
    assert dannet['mIoU_present, to full CCDistill'] == '+8.0 [-4.7, +20.7]'
    assert of_row['full CCDistill']['mIoU_present, to full CCDistill'] == '0'


def test_the_time_of_a_step_may_come_from_steps_taken_in_turn(
    results: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    step_times.main(
        ['mini', '--rows', 'full', '--rounds', '2', '--out', str(tmp_path / 'times.json')]
    )
    found = json.loads((tmp_path / 'times.json').read_text())
    assert list(found['rows']) == ['wo_cdc_cds', 'full'] and found['rounds'] == 2
    assert found['rows']['wo_cdc_cds']['value'] == 1 and found['rows']['full']['ms'] > 0
    found['rows']['full']['value'] = 1.23
    (tmp_path / 'times.json').write_text(json.dumps(found))
    write_report(results, tmp_path, with_page=False)
    main([str(tmp_path / 'results.json'), '--times', str(tmp_path / 'times.json')])
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(' | ')[-1].strip('| ') for line in lines if line.startswith('| full')] == [
        '1.23'
    ]
    assert lines[-1].split(' | ')[-1].strip('| ') == ''  # DANNet was not timed


def test_the_time_of_a_step_is_that_of_the_row_with_its_settings(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    timed: list[Any] = []

    class Step:
        runner = SimpleNamespace(max_iters=10)

        def __init__(self, settings: Any, config: Any, mode: Any) -> None:
            timed.append(config.model)

        def skip_to(self, iteration: int) -> None: ...

        def step(self) -> None: ...

    monkeypatch.setattr(step_times, 'Training', Step)
    step_times.main(['mini', '--rows', 'plus_both', 'st_alone', 'js_mean', '--rounds', '2'])
    _, js_mean, both, alone = timed
    assert both.self_training.learners == ('night', 'day') and both.loss_cdc is not None
    assert alone.self_training.learners == ('night',) and alone.loss_cdc is None
    assert js_mean.loss_cdc.js_positions == 1


def test_a_column_in_which_nothing_stands_is_left_out(results: dict[str, Any]) -> None:
    whole, *_ = systems_table(results, 'night')
    del results['runs']['source_only']
    without, *_ = systems_table(results, 'night')
    assert [title for title in whole if title not in without] == [
        'to source-only',
        'share of the gap, %',
    ]


def test_another_row_may_be_compared_with(results: dict[str, Any]) -> None:
    """The paper's method is 4 and 6 below DANNet; without the class that carries it nothing is left."""
    head, *rows = systems_table(results, 'night', reference='dannet')
    of_row = {row[0]: dict(zip(head, row, strict=True)) for row in rows}
    assert of_row['full CCDistill']['to DANNet'] == '-5.0 [-17.7, +7.7]'
    assert of_row['full CCDistill']['the same without its largest class'] == '+0.0 (road)'
    assert of_row['DANNet']['to DANNet'] == '0'


def test_some_rows_are_shown_and_compared_with_one_that_is_not(
    results: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = systems_table(results, 'night')
    write_report(results, tmp_path, with_page=False)
    main([str(tmp_path / 'results.json'), '--rows', 'rivals', 'source_only'])
    chosen = [whole[0], *(row for row in whole[1:] if row[0] in ('DANNet', 'source-only'))]
    assert len(chosen) == 3 and capsys.readouterr().out.strip() == markdown_table(chosen).strip()


def test_no_oracle_no_share(results: dict[str, Any]) -> None:
    del results['runs']['oracle']
    assert 'share of the gap, %' not in systems_table(results, 'night')[0]


def test_the_command_writes_between_the_marks(
    results: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_report(results, tmp_path, with_page=False)
    main([str(tmp_path / 'results.json')])
    printed = capsys.readouterr().out.strip()
    page = tmp_path / 'page.md'
    page.write_text('\n'.join(['before', *marks('mini night'), 'after', '']))
    for _ in range(2):  # the second time over the first table
        main([str(tmp_path / 'results.json'), '--page', str(page), '--mark', 'mini night'])
    begin, end = marks('mini night')
    assert page.read_text() == f'before\n{begin}\n\n{printed}\n\n{end}\nafter\n'


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (['--set', 'nights'], "--set: 'nights' was not measured in .*: expected one of night, day"),
        (
            ['--times', 'none.json'],
            "--times: 'none.json' holds no times: expected a file that python",
        ),
        (
            ['--reference', 'gcma'],
            "--reference: 'gcma' was not measured in .*: expected one of source_only, full, oracle, dannet",
        ),
        (
            ['--rows', 'plus', 'gcma'],
            '--rows: none of plus, gcma was measured in .*: expected some of source_only, full,',
        ),
        (['--rows', 'all', 'mine'], "--rows: this suite has no row 'mine'; expected headline, "),
    ],
)
def test_a_wrong_argument_is_one_sentence(
    results: dict[str, Any], tmp_path: Path, options: list[str], message: str
) -> None:
    write_report(results, tmp_path, with_page=False)
    with pytest.raises(UserInputError, match=message):
        main([str(tmp_path / 'results.json'), *options])


@pytest.mark.parametrize(
    ('content', 'message'),
    [
        ([], 'holds no times'),
        ([{'rows': {'full': {'value': 1.0}}}], 'holds no times'),
        (3, 'holds no times'),
        ({'suite': 'mini', 'rows': [1.0]}, 'holds no times'),
        ({'suite': 'mini', 'rows': {'full': 1.0}}, 'holds no times'),
        (
            {'suite': 'pretrained', 'rows': {'full': {'value': 1.0}}},
            'holds times of the suite pretrained, the results are of mini: expected times of the same suite',
        ),
        ({'rows': {'full': {'value': 1.0}}}, 'holds times of the suite None'),
    ],
)
def test_times_of_another_kind_or_suite_are_refused(
    results: dict[str, Any], tmp_path: Path, content: Any, message: str
) -> None:
    write_report(results, tmp_path, with_page=False)
    times = tmp_path / 'times.json'
    times.write_text(json.dumps(content))
    with pytest.raises(UserInputError, match=message) as error:
        main([str(tmp_path / 'results.json'), '--times', str(times)])
    assert str(times) in str(error.value) and '\n' not in str(error.value)


@pytest.mark.parametrize('runs', [{}, {'full': {}}])
def test_results_without_a_run_are_named(runs: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / 'results.json').write_text(json.dumps({**results_of({}), 'runs': runs}))
    for words in ([], ['--set', 'night']):
        with pytest.raises(UserInputError, match=r"results\.json' holds no run, so there is no"):
            main([str(tmp_path / 'results.json'), *words])


@pytest.mark.parametrize(
    ('name', 'message'),
    [
        ('afile/times.json', "^nothing can be written into '.*/afile' .*; name another with --out"),
        ('', "' is a folder: expected the name of a file; name another with --out"),
    ],
)
def test_times_that_could_not_be_written_are_not_taken(
    name: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / 'afile').write_text('mine')
    monkeypatch.setattr(step_times, 'step_times', lambda *_: pytest.fail('timed'))
    with pytest.raises(UserInputError, match=message):
        step_times.main(['mini', '--out', str(tmp_path / name)])


def test_one_round_is_no_comparison() -> None:
    with pytest.raises(UserInputError, match='--rounds must be at least 2, got 1'):
        step_times.main(['mini', '--rounds', '1'])


def test_a_page_without_marks_stays_as_it_is(tmp_path: Path) -> None:
    page = tmp_path / 'page.md'
    page.write_text('<!-- x: end -->\n<!-- x: begin -->\n')
    with pytest.raises(UserInputError, match='has no lines <!-- x: begin --> and <!-- x: end -->'):
        write_section(page, section('x', ['line']))
    assert page.read_text() == '<!-- x: end -->\n<!-- x: begin -->\n'


@pytest.mark.parametrize(
    ('content', 'reason'),
    [(None, 'No such file or directory'), ('', 'Is a directory'), (b'\xff', 'it is no text')],
)
def test_a_page_that_cannot_be_read_is_named(
    content: bytes | str | None, reason: str, tmp_path: Path
) -> None:
    page = tmp_path / 'page.md'
    if isinstance(content, bytes):
        page.write_bytes(content)
    elif content is not None:
        page.mkdir()
    with pytest.raises(UserInputError) as error:
        write_section(page, section('x', ['line']))
    assert str(error.value).startswith(
        f'the page {str(page)!r} cannot be read ({reason}): expected'
    )
    assert page.exists() == (content is not None)


def test_a_page_in_a_read_only_folder_stays_as_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = tmp_path / 'page.md'
    page.write_text('\n'.join(marks('x')))

    def refuse(dir: Path) -> None:  # root may write anywhere
        raise OSError(30, 'Read-only file system', str(dir))

    monkeypatch.setattr(tempfile, 'TemporaryFile', refuse)
    with pytest.raises(UserInputError, match='^nothing can be written .*; name another page'):
        write_section(page, section('x', ['line']))
    assert page.read_text() == '\n'.join(marks('x'))


@pytest.mark.parametrize('mark', DOCS_TABLES)
def test_the_docs_show_what_was_measured(mark: str) -> None:
    """Every cell of the page's table comes from the results file that it names."""
    page, found, steps, dataset, reference, rows = DOCS_TABLES[mark]
    text = (ROOT / 'docs' / page).read_text(encoding='utf-8')
    results, times = (
        json.loads((ROOT / f'docs/results/{name}.json').read_text(encoding='utf-8'))
        for name in (found, steps)
    )
    shown = choose_rows(rows, SUITES[results['suite']])
    table = systems_table(results, dataset, times['rows'], reference, shown)
    assert section(mark, [markdown_table(table)]) in text


#: Where a difference stands that is told twice.
PAGES = ('docs/studies/pretrained.md', 'docs/beyond.md')


@pytest.mark.parametrize(
    ('file', 'reference', 'row', 'pages'),
    [
        (
            'pretrained_parts',
            'plus_handover',
            'wo_self_training',
            ('docs/studies/pretrained.md', 'docs/beyond.md'),
        ),
        ('pretrained_parts', 'wo_cdc_cds', 'wo_self_training', ('docs/studies/pretrained.md',)),
        ('pretrained_parts', 'wo_cdc_cds', 'full', ('README.md',)),
        *(
            (
                'pretrained_fresh',
                reference,
                row,
                ('docs/studies/pretrained.md', 'README.md', 'docs/beyond.md'),
            )
            for row, reference in (
                ('plus', 'wo_cdc_cds'),
                ('plus', 'wo_cdc_cds_long'),
                ('plus', 'wo_self_training'),
                ('wo_cdc_cds_rare_lights', 'wo_cdc_cds'),
            )
        ),
        ('pretrained_fresh', 'wo_cdc_cds', 'plus', ('CHANGELOG.md',)),
        ('pretrained_fresh', 'wo_cdc_cds', 'plus_handover', ('README.md',)),
        ('pretrained_fresh', 'plus_handover', 'plus', PAGES),
        ('pretrained_fresh', 'wo_cdc_cds', 'wo_cdc_cds_long', ('docs/studies/pretrained.md',)),
        (
            'pretrained_fresh',
            'wo_cdc_cds',
            'wo_self_training',
            ('docs/studies/pretrained.md', 'README.md'),
        ),
        (
            'pretrained_fresh',
            'wo_cdc_cds_rare_lights',
            'wo_self_training',
            ('docs/studies/pretrained.md', 'README.md'),
        ),
        ('pretrained_parts', 'matched', 'st', ('docs/beyond.md',)),
        ('pretrained_parts', 'st', 'st_keep_static', PAGES),
        ('pretrained', 'wo_cdc_cds_long', 'plus_handover', PAGES),
        ('pretrained', 'wo_cdc_cds_long', 'matched', ('docs/studies/pretrained.md',)),
        ('pretrained', 'plus_handover', 'oracle_style', ('docs/studies/pretrained.md',)),
        ('pretrained', 'plus_handover', 'oracle_dynamic', ('docs/studies/pretrained.md',)),
    ],
)
def test_differences_to_other_rows_are_those_of_the_file(
    file: str, reference: str, row: str, pages: tuple[str, ...]
) -> None:
    found = json.loads((ROOT / f'docs/results/{file}.json').read_text(encoding='utf-8'))
    head, cells = systems_table(found, 'night', reference=reference, rows=[row])
    difference = cells[head.index(f'to {ROWS[reference].title}')].partition(' (n')[0]
    assert difference[0] in '+-'
    for page in pages:
        assert difference in (ROOT / page).read_text(encoding='utf-8').replace('\n', ' '), page


@pytest.mark.parametrize('file', ['pretrained', 'pretrained_parts', 'pretrained_fresh'])
def test_every_row_that_was_measured_from_imagenet_weights_is_shown(file: str) -> None:
    found = json.loads((ROOT / f'docs/results/{file}.json').read_text(encoding='utf-8'))
    tables = [table for table in DOCS_TABLES.values() if table[1] == file]
    shown = {name for *_, rows in tables for name in choose_rows(rows, SUITES['pretrained'])}
    assert set(found['runs']) <= shown


def test_the_two_regimes_stand_side_by_side() -> None:
    """Means, differences to the baseline and shares of the gap, from the files of results."""
    page = (ROOT / 'docs/studies/pretrained.md').read_text(encoding='utf-8')
    tables = []
    for name in ('table1_mini', 'pretrained', 'pretrained_fresh'):
        found = json.loads((ROOT / f'docs/results/{name}.json').read_text(encoding='utf-8'))
        shown = ('plus',) if name == 'pretrained_fresh' else (*HEADLINE, 'plus_handover')
        head, *rows = systems_table(found, 'night', reference='wo_cdc_cds', rows=shown)
        places = [
            head.index(title)
            for title in ('mIoU on night', 'to w/o CDC and CDS', 'share of the gap, %')
        ]
        tables.append({row[0]: [row[place] for place in places] for row in rows})
    for title, cells in tables[1].items():
        both = [*tables[0].get(title, ['', '', '']), *cells]
        assert f'| {" | ".join([title, *both])} |' in page
    ((title, cells),) = tables[2].items()
    assert f'| {title}, five other worlds | | | | {" | ".join(cells)} |' in page


@pytest.mark.parametrize(
    ('file', 'row'), [('pretrained', 'plus_handover'), ('pretrained_fresh', 'plus')]
)
def test_shares_of_the_gap_are_those_of_the_file(file: str, row: str) -> None:
    found = json.loads((ROOT / f'docs/results/{file}.json').read_text(encoding='utf-8'))
    share = closed_share(*(mious(found, name, 'night') for name in (row, 'source_only', 'oracle')))
    assert share is not None and share.interval is not None
    low, high = (round(100 * bound) for bound in share.interval)
    text = f'{100 * share.value:.0f} %'
    assert f'{text} [{low}, {high}]' in (ROOT / 'docs/studies/pretrained.md').read_text('utf-8')
    for page in ('README.md', 'docs/beyond.md') if row == 'plus' else ('docs/beyond.md',):
        assert text in (ROOT / page).read_text(encoding='utf-8'), page


def test_the_page_in_short_says_what_the_files_say() -> None:
    """Difference to the baseline in both groups of worlds, and FLOP of a step over that of the baseline."""
    page = (ROOT / 'docs/studies/pretrained.md').read_text(encoding='utf-8')
    _, *lines = page.partition('## In short')[2].partition('## Aims')[0].split('\n| ')[1:]
    shown = [[cell.strip() for cell in line.split('|')[1:4]] for line in lines]
    rows = ('source_only', 'dannet', 'full', 'wo_cdc_cds_rare_lights', 'matched')
    expected: list[list[str]] = []
    for name in (*rows, 'wo_self_training', 'plus', 'oracle'):
        cells, flop = [], ''
        for file in ('pretrained', 'pretrained_fresh'):
            path = ROOT / f'docs/results/{file}.json'
            found = json.loads(path.read_text(encoding='utf-8'))
            runs = found['runs']
            if name not in runs:
                cells.append('not run')
                continue
            titles, row = systems_table(found, 'night', reference='wo_cdc_cds', rows=[name])
            cells.append(row[titles.index('to w/o CDC and CDS')])
            if name != 'source_only':
                costs = [next(iter(runs[r].values()))['cost'] for r in (name, 'wo_cdc_cds')]
                flop = f'{costs[0]["tflop"] / costs[1]["tflop"]:.1f}'
        expected.append([*cells, flop])
    assert shown == expected


def test_the_source_stages_of_the_page_are_those_of_the_file() -> None:
    for name, worlds in (('pretrained', '301 to 305'), ('pretrained_fresh', '306 to 310')):
        found = json.loads((ROOT / f'docs/results/{name}.json').read_text(encoding='utf-8'))
        curves = [dict(source['curve']) for source in found['sources'].values()]
        means = [sum(curve[x] for curve in curves) / len(curves) for x in range(500, 4001, 500)]
        row = f'| S by day, worlds {worlds} | {" | ".join(f"{mean:.1f}" for mean in means)} |'
        assert row in (ROOT / 'docs/studies/pretrained.md').read_text(encoding='utf-8')


def test_the_candidates_of_plus_stand_on_the_page() -> None:
    """Night mIoU of both worlds, their mean, and TFLOP of a step; the rule of the page gives `plus`."""
    page = (ROOT / 'docs/studies/pretrained.md').read_text(encoding='utf-8')
    found = json.loads((ROOT / 'docs/results/pretrained_choice.json').read_text(encoding='utf-8'))
    means = {}
    for name, runs in found['runs'].items():
        scores = [runs[seed]['sets']['night']['mIoU'] for seed in ('0', '1')]
        means[name] = sum(scores) / 2
        cells = ' | '.join(f'{score:.1f}' for score in (*scores, means[name]))
        assert f'| `{name}` | {cells} | {runs["0"]["cost"]["tflop"]:.3f} |' in page
    means = {name: mean for name, mean in means.items() if not name.startswith('lights_')}
    within = [name for name in means if means[name] > max(means.values()) - 0.5]
    cheapest = min(found['runs'][name]['0']['cost']['tflop'] for name in within)
    cheap = [name for name in within if found['runs'][name]['0']['cost']['tflop'] == cheapest]
    assert max(cheap, key=means.__getitem__) == 'plus'


def test_the_rates_stand_on_the_page() -> None:
    """Night mIoU of the two worlds that chose the rate, and their mean."""
    page = (ROOT / 'docs/studies/pretrained.md').read_text(encoding='utf-8')
    read = {
        name: json.loads((ROOT / f'docs/results/{name}.json').read_text(encoding='utf-8'))['runs']
        for name in ('pretrained_rate_choice', 'pretrained_choice')
    }
    rows = {**read['pretrained_rate_choice'], 'plus': read['pretrained_choice']['plus']}
    for name, runs in rows.items():
        scores = [runs[seed]['sets']['night']['mIoU'] for seed in ('0', '1')]
        rate = '2e-4' if name.endswith('rate_double') else '1e-4'
        cells = ' | '.join(f'{score:.1f}' for score in (*scores, sum(scores) / 2))
        assert f'| `{name}` | {rate} | {cells} |' in page


def test_the_rates_on_the_reporting_worlds_stand_on_the_page() -> None:
    """Night mIoU over five worlds, and differences to the default and to the chosen baseline."""
    page = (ROOT / 'docs/studies/pretrained.md').read_text(encoding='utf-8')
    found, rates = (
        json.loads((ROOT / f'docs/results/{name}.json').read_text(encoding='utf-8'))
        for name in ('pretrained_fresh', 'pretrained_rate')
    )
    assert set(rates['runs']) == {'rare_lights_rate_double', 'plus_rate_double'}
    found['runs'] |= rates['runs']
    default, chosen = (
        mious(found, name, 'night') for name in ('wo_cdc_cds', 'rare_lights_rate_double')
    )
    for name in ('wo_cdc_cds', 'wo_cdc_cds_rare_lights', 'plus', *rates['runs']):
        scores = mious(found, name, 'night')
        cells = [interval_text(spread(list(scores.values())).mean, 5, signed=False)]
        for other in (default, chosen):
            text = interval_text(paired_difference(scores, other), 5)
            cells.append('0' if scores == other else text)
        rate = '2e-4' if name in rates['runs'] else '1e-4'
        assert f'| `{name}` | {rate} | {" | ".join(cells)} |' in page
    readme = (ROOT / 'README.md').read_text(encoding='utf-8')
    best = mious(found, 'plus_rate_double', 'night')
    assert interval_text(paired_difference(best, chosen), 5) in readme


def test_the_terms_on_heads_that_keep_their_rank_stand_on_the_page() -> None:
    """Night mIoU of two worlds, the mean difference to the baseline, and the ranks."""
    page = (ROOT / 'docs/studies/pretrained.md').read_text(encoding='utf-8')
    ranks, fresh = (
        json.loads((ROOT / f'docs/results/{name}.json').read_text(encoding='utf-8'))['runs']
        for name in ('pretrained_rank', 'pretrained_fresh')
    )
    rows = {**fresh, **ranks}
    means = {}
    for name in ('wo_cdc_cds', 'full', *ranks, 'matched'):
        runs = [rows[name][seed] for seed in ('0', '1')]
        scores = [run['sets']['night']['mIoU'] for run in runs]
        means[name] = sum(scores) / 2
        gain = means[name] - means['wo_cdc_cds']
        found = [run['diagnostics'].get('cor.effective_rank') for run in runs]
        rank = '' if None in found else ' / '.join(f'{value:.1f}' for value in found)
        first = ' | '.join(f'{score:.1f}' for score in scores)
        difference = '0' if name == 'wo_cdc_cds' else f'{gain:+.1f}'
        assert f'| `{name}` | {first} | {difference} | {rank} |' in page


def test_other_parts_of_self_training_stand_on_the_page() -> None:
    page = (ROOT / 'docs/studies/pretrained.md').read_text(encoding='utf-8')
    found, chosen = (
        json.loads((ROOT / f'docs/results/{name}.json').read_text(encoding='utf-8'))['runs']
        for name in ('pretrained_other_parts', 'pretrained_choice')
    )
    plus = chosen['plus']['0']['sets']['night']['mIoU']
    for name, runs in found.items():
        score = runs['0']['sets']['night']['mIoU']
        cost = runs['0']['cost']['tflop']
        assert f'| `{name}` | {score:.1f} | {score - plus:+.1f} | {cost:.3f} |' in page
