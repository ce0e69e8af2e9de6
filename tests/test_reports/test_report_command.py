from __future__ import annotations

from pathlib import Path

import pytest
from tool_project import error_of, load_tool, run_tool
from written_run import write_run

PAGE = '<meta name="generator" content="mmseg-ccdistill report">'


@pytest.fixture
def report(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    tool = load_tool('tools/report.py')
    return lambda *arguments: run_tool(tool, monkeypatch, *arguments)


def test_one_run_gets_its_page_and_several_a_comparison(report, capsys) -> None:
    for k in (1, 2):
        write_run(Path(f'run{k}'), k)
    assert report('run1') == 0
    assert report('run1', 'run2') == 0
    assert capsys.readouterr().out.split() == ['run1/report.html', 'comparison.html']
    assert PAGE in Path('run1/report.html').read_text()
    assert PAGE in Path('comparison.html').read_text()


def test_a_report_is_written_again_and_another_file_is_kept(report, capsys) -> None:
    page = write_run(Path('run')) / 'report.html'
    assert report('run') == 0
    before = page.read_bytes()
    page.write_text(f'<html>{PAGE} an older one')
    assert report('run') == 0 and page.read_bytes() == before
    page.write_text('my notes')
    assert report('run') == 2
    assert error_of(capsys) == (
        "'run/report.html' exists and is no report; name another page with --out, or replace it with --force"
    )
    assert page.read_text() == 'my notes'
    assert report('run', '--force') == 0 and page.read_bytes() == before


@pytest.mark.parametrize(
    ('arguments', 'sentence'),
    [
        (['gone'], "the run 'gone' does not exist: expected the work dir of a training"),
        (['run', 'run'], "the run 'run' is named twice: name each once"),
        (['run', 'two', 'run/'], "the run 'run/' is named twice, as 'run' too: name each once"),
        (['two/../run', './run'], "the run './run' is named twice, as 'two/../run' too: name"),
        (['link', 'run'], "the run 'run' is named twice, as 'link' too: name each once"),
        (['run', 'two', '--base', 'x.py'], '--base is for one RUN'),
        (['run', 'two', '--checkpoint', 'x', '--evaluate'], '--checkpoint is for one RUN'),
        (['run', '--checkpoint', 'x.pth'], 'names what --evaluate tests: add --evaluate'),
        (['run', '--base', 'x.py'], "the config file 'x.py' does not exist"),
        (['run', '--out', 'page.pdf'], "'page.pdf' does not end in .html"),
        (['run', '--out', 'no/page.html'], "the folder 'no' does not exist"),
        (['run', '--evaluate'], "'run' holds no whole checkpoint; name one with --checkpoint"),
    ],
)
def test_bad_input_ends_in_one_sentence(report, capsys, arguments, sentence) -> None:
    write_run(Path('run'))
    write_run(Path('two'))
    Path('link').symlink_to('run')
    assert report(*arguments) == 2
    assert sentence in error_of(capsys)
