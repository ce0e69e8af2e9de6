from __future__ import annotations

import base64
import re
from html.parser import HTMLParser
from pathlib import Path

from written_run import CONFIG, write_run, write_scores

from mmseg_ccdistill.reports.run_folder import read_run
from mmseg_ccdistill.reports.run_page import comparison_page, run_page


class Page(HTMLParser):
    """Rows of text of all tables, headings, and everything that a page would load."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.rows: list[list[str]] = []
        self.headings: list[str] = []
        self.loaded: list[str] = []
        self.ids: list[str] = []
        self._open = ''
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == 'tr':
            self.rows.append([])
        if tag in ('td', 'th'):
            self.rows[-1].append('')
        if tag == 'h2':
            self.headings.append('')
        self._open = tag
        for name, value in attrs:
            if name == 'src' or (name in ('href', 'xlink:href') and not str(value).startswith('#')):
                self.loaded.append(str(value))
            if name == 'id':
                self.ids.append(str(value))
        assert tag != 'script'

    def handle_endtag(self, tag: str) -> None:
        self._open = ''

    def handle_data(self, data: str) -> None:
        if self._open in ('td', 'th'):
            self.rows[-1][-1] += data
        if self._open == 'h2':
            self.headings[-1] += data


def test_the_page_of_a_run_holds_every_part_and_loads_nothing(tmp_path: Path) -> None:
    folder = write_run(tmp_path / 'run')
    write_scores(folder)
    (folder / 'panel.png').write_bytes(b'a picture')
    base = tmp_path / 'base.py'
    base.write_text(CONFIG.format(seed=0, lr=0.01))
    text = run_page(read_run(folder), base)
    page = Page(text)
    assert page.headings == [
        'Settings that differ from the config',
        'Scores by class',
        'Validation',
        'Loss terms',
        'Cor maps',
        'Pseudo labels',
        'Learning rate',
        'Time and memory',
        'Environment',
    ]
    assert ['randomness.seed', '0', '7'] in page.rows
    assert ['road', '50.00', '60.00', '1,200', '1,000'] in page.rows
    assert ['train', 'absent', '', '0', '0'] in page.rows
    assert ['bus', '0.00 absent', '', '0', '30'] in page.rows
    assert ['aAcc', 'nan'] in page.rows
    worst = [row for row in page.rows if row and row[0].endswith('.png')]
    assert len(worst) == 20 and worst[0] == ['24.png', '76.00'] and worst[-1] == ['5.png', '95.00']
    encoded = base64.b64encode(b'a picture').decode()
    assert page.loaded == [f'data:image/png;base64,{encoded}']
    assert len(set(page.ids)) == len(page.ids)
    assert text.count('<svg') == 6
    for fact in ('2 s for an iteration, 25 % of it waiting for data', '1,000 MB', '3.11.7 (main)'):
        assert fact in text


def test_without_a_base_or_scores_the_page_says_how_to_get_them(tmp_path: Path) -> None:
    text = run_page(read_run(write_run(tmp_path / 'run')), None)
    assert 'name it with --base CONFIG' in text
    assert 'ccdistill report RUN --evaluate' in text


def test_equal_runs_give_equal_pages(tmp_path: Path) -> None:
    run = read_run(write_run(tmp_path / 'run'))
    assert run_page(run, None) == run_page(run, None)


def test_names_from_a_run_are_text_and_not_markup(tmp_path: Path) -> None:
    run = read_run(write_run(tmp_path / '<b>bold'))
    assert '<b>' not in run_page(run, None)


def test_a_comparison_has_the_intervals_and_the_curves_of_all(tmp_path: Path) -> None:
    runs = [read_run(write_run(tmp_path / f's{k}', k, miou=30.0 + k)) for k in (1, 2, 3)]
    text = comparison_page(runs)
    page = Page(text)
    assert page.headings[:2] == ['Runs', 'Settings in which the runs differ']
    (row,) = [row for row in page.rows if row[:1] == ['mIoU']]
    assert row[:4] == ['mIoU', 'small', '3', '32.00']
    assert ['randomness.seed', '1', '2', '3'] in page.rows
    assert re.search('s1.*s2.*s3', text, flags=re.S)
    assert page.loaded == []


def test_runs_without_a_score_are_compared_by_their_curves(tmp_path: Path) -> None:
    runs = [read_run(write_run(tmp_path / f's{k}', k, miou=None)) for k in (1, 2)]
    assert 'No run has a score yet' in comparison_page(runs)
