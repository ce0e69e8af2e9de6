from __future__ import annotations

import csv
import html
import io
import json
import re
import shutil
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import cv2
import numpy as np
import pytest
from adaptation_runs import results_of

from benchmarks.adaptation.class_tables import class_table, left_out_table
from benchmarks.adaptation.command import main
from benchmarks.adaptation.facts import code_states
from benchmarks.adaptation.figures import colour_of, source_figure, style_of
from benchmarks.adaptation.panel import panel_rows, scene_panel
from benchmarks.adaptation.results import KEYS, merge, read_results, write_report
from benchmarks.adaptation.rows import ROWS
from benchmarks.adaptation.tables import (
    diagnostics_table,
    differences_table,
    means_table,
    published_table,
    source_table,
)
from benchmarks.adaptation.text_reports import csv_report, markdown_report
from mmseg_ccdistill.errors import UserInputError
from mmseg_ccdistill.reports.svg import OKABE_ITO

NIGHT = {
    'source_only': {'0': 10.0, '1': 12.0, '2': 14.0},
    'wo_cdc_cds': {'0': 20.0, '1': 22.0, '2': 27.0},
    'full': {'0': 22.0, '1': 23.0, '2': 30.0},
    'oracle': {'0': 30.0, '1': 32.0, '2': 34.0},
    'wo_js': {'0': 21.0},
}
VOID = {'meta', 'img', 'br', 'hr', 'input', 'link'}


def test_means_by_hand() -> None:
    """Full: 22, 23, 30 has mean 25, sd √19 = 4.36; 4.302653 · 4.3589 / √3 = 10.8. Gap 20 in each seed."""
    table = {row[0]: row[1:] for row in means_table(results_of(NIGHT), 'night')}
    assert table['full CCDistill'][:5] == ['3', '25.0', '4.4', '22.0 to 30.0', '14.2 to 35.8']
    # Gains 12, 11, 16 of 20: 65 %; sd √7 = 2.6458, 4.302653 · 2.6458 / √3 / 20 = 33 %.
    assert table['full CCDistill'][5:] == ['65 [32, 98]', '47.5']
    assert table['oracle (labels of T_n)'][-2:] == ['', '']
    assert table['source-only'][-2:] == ['', '28.5']
    assert table['w/o L_JS'][:5] == ['1', '21.0', 'n = 1', '21.0 to 21.0', 'n = 1, no interval']
    assert table['w/o L_JS'][5] == '55 (n = 1, no interval)'


def test_differences_by_hand() -> None:
    """Full to the baseline: 2, 1, 3 has mean 2, sd 1; 4.302653 / √3 = 2.48."""
    head, *rows = differences_table(results_of(NIGHT), 'night')
    assert head[1:4] == ['to w/o CDC and CDS', 'to source-only', 'to full CCDistill']
    table = {row[0]: row[1:] for row in rows}
    assert table['full CCDistill'] == ['+2.0 [-0.5, +4.5]', '+13.0 [+6.4, +19.6]', '0', '0']
    assert table['w/o L_JS'] == [
        '+1.0 (n = 1, no interval)', '+11.0 (n = 1, no interval)', '-1.0 (n = 1, no interval)', '-2.9'
    ]  # fmt: skip
    assert table['oracle (labels of T_n)'][-1] == ''


def test_class_table_has_the_classes_of_the_ground_truth_only() -> None:
    head, *rows = class_table(results_of({'full': NIGHT['full']}), 'night')
    assert head == ['class', 'full CCDistill']
    assert rows == [['road', '25.0'], ['sidewalk', '12.5']]


def test_whether_one_class_carries_a_row_by_hand() -> None:
    """Full is 2, 1, 3 ahead in road, half of it in sidewalk, and equal in the third class of the mean."""
    head, *rows = left_out_table(results_of({k: NIGHT[k] for k in ('wo_cdc_cds', 'full')}), 'night')
    assert head == ['class left out', 'full CCDistill']
    assert rows == [['none', '+1.0'], ['road', '+0.5 (+2.0)'], ['sidewalk', '+1.0 (+1.0)']]
    head, *rows = left_out_table(results_of(NIGHT), 'night')
    assert head[-1] == 'w/o L_JS' and rows[1][-1] == '+0.2 (+1.0)'  # one seed in common
    assert left_out_table(results_of({'full': NIGHT['full']}), 'night') == [['class left out']]


def test_the_papers_table_stands_beside() -> None:
    rows = {row[0]: row[1:] for row in published_table(results_of(NIGHT))}
    assert rows['Ours'] == ['47.5', '0', '25.0', '']
    assert rows['w/o L_JS in CDC'] == ['44.6', '-2.9', '21.0', '-1.0 (n = 1, no interval)']
    assert rows['w/o CDS'] == ['44.0', '-3.5', '', '']


def test_diagnostics_are_of_rows_with_two_branches() -> None:
    names = [row[0] for row in diagnostics_table(results_of(NIGHT))]
    assert names == ['row', 'w/o CDC and CDS', 'full CCDistill', 'w/o L_JS']


def test_csv_has_a_line_for_each_run_and_set() -> None:
    rows = list(csv.DictReader(io.StringIO(csv_report(results_of(NIGHT)))))
    assert len(rows) == 2 * 13
    first = rows[0]
    assert (first['row'], first['seed'], first['world'], first['set']) == (
        'source_only',
        '0',
        '900',
        'night',
    )
    assert (first['mIoU'], first['road'], first['sidewalk'], first['wall']) == (
        '10.0',
        '10.0',
        '5.0',
        '',
    )


def test_markdown_states_what_it_is_and_what_failed() -> None:
    results = results_of(NIGHT)
    results['failures'] = {'wo_lab of seed 1': 'stage failed\nMemoryError'}
    text = markdown_report(results)
    assert 'does not reproduce the numbers of the paper' in text and 'delta method' in text
    assert '- wo_lab of seed 1: MemoryError' in text
    assert '| full CCDistill | 3 | 25.0 |' in text
    assert 'rendered worlds: 900, 901, 902' in text


class Page(HTMLParser):
    """Collects what a page must not have, and checks that every element is closed."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.links: list[str] = []
        self.ids: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag: str, attrs: list) -> None:
        found = dict(attrs)
        self.tags.append((tag, found))
        self.links += [v for k, v in attrs if k in ('src', 'href', 'xlink:href')]
        if 'id' in found:
            self.ids.append(found['id'])
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def parse(path: Path) -> Page:
    page = Page()
    page.feed(path.read_text())
    page.close()
    return page


def test_page_is_whole_and_needs_nothing_else(tmp_path: Path) -> None:
    (tmp_path / 'panel.jpg').write_bytes(b'a picture')
    write_report(results_of(NIGHT), tmp_path)
    page = parse(tmp_path / 'index.html')
    assert page.open == [] and len(page.ids) == len(set(page.ids))
    assert all(link.startswith(('#', 'data:image/jpeg;base64,')) for link in page.links)
    assert {link[1:] for link in page.links if link.startswith('#')} <= set(page.ids)
    tags = [tag for tag, _ in page.tags]
    assert 'script' not in tags and 'link' not in tags and tags.count('svg') == 5
    assert all(found.get('alt') for tag, found in page.tags if tag == 'img') and 'img' in tags
    assert all(found.get('aria-label') for tag, found in page.tags if tag == 'svg')
    assert all(found.get('scope') in ('row', 'col') for tag, found in page.tags if tag == 'th')
    text = (tmp_path / 'index.html').read_text()
    assert not re.search(r'url\((?!#)|@import', text)
    assert re.findall(r'<h2>(\d)\.', text) == list('12345678')


def test_page_without_pictures_histograms_and_baseline(tmp_path: Path) -> None:
    write_report(results_of({'source_only': {'4': 3.0}}), tmp_path)
    text = (tmp_path / 'index.html').read_text()
    assert parse(tmp_path / 'index.html').open == []
    assert 'drawn without the runs' in text and text.count('Not measured in these runs.') == 3


def test_texts_are_escaped(tmp_path: Path) -> None:
    results = results_of({'wo_lab': {'0': 20.0}})
    hostile = '<script>alert("1")</script>'
    results['failures'] = {'full of seed 9': hostile}
    results.update(title=hostile, date=hostile, device=hostile, commands=[hostile])
    results['classes'][0] = hostile
    write_report(results, tmp_path)
    assert 'script' not in [tag for tag, _ in parse(tmp_path / 'index.html').tags]
    text = (tmp_path / 'index.html').read_text()
    # title, h1, date, machine, command, failure, class
    assert html.unescape(text).count(hostile) == 7
    assert hostile not in text and '&lt;script&gt;' in text


def test_report_is_drawn_again_from_its_own_file(
    tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    results = results_of({'wo_lab': {'0': 20.0}})
    write_report(results, tmp_path)
    assert json.loads((tmp_path / 'results.json').read_text()) == results
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    text = {'results.json', 'results.csv', 'results.md', 'index.html'}
    assert set(before) == {*text, 'miou_night.svg'}
    assert ElementTree.fromstring(before['miou_night.svg']).tag.endswith('svg')
    (tmp_path / 'index.html').unlink()
    (tmp_path / 'results.md').unlink()
    main(['mini', '--report-only', '--out', str(tmp_path)])
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_later_runs_add_seeds_and_rows() -> None:
    first = results_of({'full': {'0': 20.0, '1': 21.0}, 'wo_cdc_cds': {'0': 19.0}})
    first['commands'] = ['one']
    second = results_of({'full': {'1': 25.0, '2': 22.0}, 'wo_lab': {'0': 18.0}})
    merged = merge(first, second, Path('results.json'))
    found = {
        r: {s: v['sets']['night']['mIoU'] for s, v in runs.items()}
        for r, runs in merged['runs'].items()
    }
    assert found == {
        'full': {'0': 20.0, '1': 25.0, '2': 22.0}, 'wo_cdc_cds': {'0': 19.0}, 'wo_lab': {'0': 18.0}
    }  # fmt: skip
    assert merged['seeds'] == ['0', '1', '2'] and merged['worlds'] == {'0': 900, '1': 901, '2': 902}
    assert merged['commands'] == ['one', 'python -m x']
    assert merged['seconds'] == 3 * 300 + 5 * 110


def test_failures_are_kept_until_the_row_is_there() -> None:
    first = results_of({'full': {'0': 20.0, '1': 21.0}})
    first['failures'] = {'wo_lab of seed 0': 'x', 'wo_js of seed 0': 'y', 'source of seed 1': 'z'}
    second = results_of({'wo_lab': {'0': 18.0, '1': 18.0}})
    second['failures'] = {'full of seed 0': 'now'}
    merged = merge(first, second, Path('results.json'))
    assert merged['failures'] == {'wo_js of seed 0': 'y', 'full of seed 0': 'now'}
    assert list(merged['runs']['full']) == [
        '0',
        '1',
    ]  # what was measured stays, the failure beside it
    later = merge(merged, results_of({'wo_js': {'0': 18.0}}), Path('results.json'))
    assert later['failures'] == {'full of seed 0': 'now'}
    assert merge(later, results_of({'full': {'0': 20.0}}), Path('results.json'))['failures'] == {}


def test_rows_without_a_run_are_no_rows(tmp_path: Path) -> None:
    """Nothing was measured, before or now: the failures are written, and can be read and added to."""
    first, second = results_of({}), results_of({'full': {}})
    second['failures'] = {'full of seed 0': 'no luck'}
    merged = merge(first, second, Path('results.json'))
    assert merged['runs'] == {} and merged['failures'] == second['failures']
    assert write_report(merged, tmp_path).name == 'results.md'
    assert '- full of seed 0: no luck' in (tmp_path / 'results.md').read_text()
    assert merge(read_results(tmp_path / 'results.json'), results_of(NIGHT), tmp_path)['runs']


def test_runs_of_other_settings_are_not_mixed() -> None:
    other = results_of(NIGHT, adapt_iters=400)
    with pytest.raises(UserInputError, match=r'other settings \(adapt_iters 400, not 600\)'):
        merge(other, results_of(NIGHT), Path('results.json'))
    overridden = results_of(NIGHT, cfg_options=['channels_last=True'])
    for first, second in ((overridden, results_of(NIGHT)), (results_of(NIGHT), overridden)):
        with pytest.raises(UserInputError, match=r'other settings \(cfg_options .*channels_last'):
            merge(first, second, Path('results.json'))


def test_runs_from_another_source_stage_are_not_paired() -> None:
    """Seed 0 is in both files, seed 1 in the other one alone."""
    other = results_of({'full': {'0': 20.0, '1': 21.0}})
    other['sources']['1']['fingerprint'] = 'of other data'
    found = merge(other, results_of({'wo_cdc_cds': {'0': 19.0}}), Path('results.json'))
    assert set(found['runs']) == {'full', 'wo_cdc_cds'}
    assert found['sources']['1']['fingerprint'] == 'of other data'
    other['sources']['0']['fingerprint'] = 'of other data'
    with pytest.raises(UserInputError, match=r"'results.json' holds runs of seed 0 on other data"):
        merge(other, results_of({'wo_cdc_cds': {'0': 19.0}}), Path('results.json'))


def test_the_code_of_the_runs_is_always_named() -> None:
    results = results_of({'full': {'0': 20.0, '1': 21.0}})
    assert f'code of the runs: {"a" * 40}\n' in markdown_report(results)
    results['runs']['full']['1']['code'] = [{'commit': 'b' * 40, 'dirty': True}]
    results['sources']['1']['code'] = []
    assert code_states(results) == [
        'a' * 40, 'b' * 40 + ', with changes that are not committed', 'commit unknown, changes unknown'
    ]  # fmt: skip


def test_a_difference_of_fewer_seeds_says_so() -> None:
    """Full has three seeds, the baseline two of them: 2 and 1, mean 1.5."""
    results = results_of({'wo_cdc_cds': {'0': 20.0, '1': 22.0}, 'full': NIGHT['full']})
    table = {row[0]: row[1:] for row in differences_table(results, 'night')}
    assert table['full CCDistill'][0] == '+1.5 [-4.9, +7.9] (n = 2)'
    assert table['w/o CDC and CDS'][1] == '-1.5 [-7.9, +4.9]'  # it has no more than two


def test_what_is_checked_is_what_is_written() -> None:
    assert set(results_of({})) == {*KEYS, 'unseen'}  # which older files lack


@pytest.mark.parametrize(
    ('content', 'message'),
    [
        (None, 'does not exist'),
        ('{"suite": 1', 'not readable as JSON'),
        ('{"suite": 1}', 'lacks '),
        (json.dumps({**results_of({}), 'variants': ['js']}), 'has variants that are not of this'),
        (
            json.dumps({**results_of({}), 'variants': {'js': 1}}),
            'has variants that are not of this',
        ),
        (json.dumps({**results_of({}), 'sources': {'0': 9.0}}), 'has sources that are not of this'),
        (json.dumps({**results_of({}), 'runs': ['full']}), 'has runs that are not of this'),
    ],
)
def test_a_file_that_is_no_report_is_named(
    content: str | None, message: str, tmp_path: Path
) -> None:
    path = tmp_path / 'results.json'
    if content is not None:
        path.write_text(content)
    with pytest.raises(UserInputError, match=message):
        read_results(path)
    assert not path.exists() or path.read_text() == content


def test_rows_are_told_apart_by_colour_and_line() -> None:
    looks = [(colour_of(name), style_of(name)) for name in ROWS]
    assert len(set(looks)) == len(ROWS) and {colour for colour, _ in looks} == set(OKABE_ITO)


def test_panel_shows_the_kept_scenes(tmp_path: Path) -> None:
    image = tmp_path / 'image.png'
    assert cv2.imwrite(str(image), np.full((40, 80, 3), 90, np.uint8))
    label = np.zeros((40, 80), np.uint8)
    for name, value in (('source_only', 0), ('full', 1)):
        (tmp_path / name).mkdir()
        np.savez_compressed(
            tmp_path / name / 'scenes.npz',
            images=np.array([str(image)]),
            labels0=label,
            predictions0=np.full_like(label, value),
        )
    folders = [(name, tmp_path / name) for name in ('source_only', 'full', 'oracle')]
    figure = scene_panel(folders)
    assert figure is not None and figure.shape[1] > 4 * 240
    road, sidewalk = (
        np.all(figure == colour[::-1], -1).sum() for colour in ((128, 64, 128), (244, 35, 232))
    )
    assert road > 1.9 * sidewalk > 0  # ground truth and source-only; full CCDistill
    many = [name for name, row in ROWS.items() if row.group in ('headline', 'rivals')]
    assert panel_rows({'runs': {name: {'0': {}} for name in [*many, 'wo_cdc']}}) == many
    for name in many:
        if name != 'full':
            shutil.copytree(tmp_path / 'full', tmp_path / name, dirs_exist_ok=True)
    whole = scene_panel([(name, tmp_path / name) for name in many])  # in three bands
    assert whole is not None and whole.shape[1] < 8 * 245
    assert whole.shape[0] == 3 * figure.shape[0]
    image.unlink()
    assert scene_panel(folders) is None


def test_the_plateau_of_the_source_stage_by_hand() -> None:
    """50 at three quarters, 51 at the end, 51.5 at its best; a stage that was measured once says nothing."""
    results = results_of(NIGHT)
    assert source_table(results) == [source_table(results)[0]] and source_figure(results) is None
    curve = [[1000, 30.0], [2000, 51.5], [3000, 50.0], [4000, 51.0]]
    results['sources']['1']['curve'] = curve
    results['sources']['2']['curve'] = [[4000, 51.0]]
    assert source_table(results)[1:] == [['1', '51.0', '+1.0', '51.5']]
    assert '## Source stages' in markdown_report(results)
    assert source_figure(results) is not None
