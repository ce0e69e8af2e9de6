"""`make docs`: the site is built without a warning and needs no network; the index is its side bar."""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture
def equations() -> ModuleType:
    """``docs/equations.py``."""
    for package in ('sphinx', 'latex2mathml'):
        pytest.importorskip(package, reason='the extra docs is not installed')
    spec = importlib.util.spec_from_file_location('equations', ROOT / 'docs/equations.py')
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    'tex', [r'a &= b \\ c &= d', '\\begin{aligned}\na &= b \\\\\nc &= d\n\\end{aligned}']
)
def test_lines_of_an_equation_are_rows(equations: ModuleType, tex: str) -> None:
    markup = equations.mathml(tex, 'block')
    assert markup.startswith('<math') and 'display="block"' in markup
    assert markup.count('<mtr>') == 2 and markup.count('<mtd') == 4


@pytest.mark.parametrize(('tex', 'part'), [(r'\foo', r'\foo'), ('a & b', '&')])
def test_what_cannot_be_shown_ends_the_build(equations: ModuleType, tex: str, part: str) -> None:
    with pytest.raises(equations.ExtensionError) as caught:
        equations.mathml(tex, 'inline')
    assert str(caught.value) == (
        f'the equation {tex!r} has {part}, which latex2mathml does not read: write it in another way'
    )


@pytest.mark.slow
def test_the_site_is_built_without_a_warning(tmp_path: Path) -> None:
    for package in ('sphinx', 'furo', 'myst_parser', 'latex2mathml'):
        pytest.importorskip(package, reason='the extra docs is not installed')
    recipe = re.search(r'-m sphinx (.*) \. build/docs', (ROOT / 'Makefile').read_text())
    assert recipe is not None
    options = recipe[1].split()
    assert {'-W', '--keep-going'} <= set(options)
    command = [sys.executable, '-m', 'sphinx', *options, '-d', str(tmp_path / 'trees')]
    site = tmp_path / 'site'
    built = subprocess.run([*command, '.', str(site)], cwd=ROOT, capture_output=True, text=True)
    assert built.returncode == 0, built.stderr[-3000:]
    index = (site / 'docs/index.html').read_text(encoding='utf-8')
    assert re.findall(r'caption-text">([^<]*)<', index) == ['Learn', 'Do', 'Look up', 'Understand']
    method = (site / 'docs/method.html').read_text(encoding='utf-8')
    assert '<div class="math"><math' in method and method.count('<mtr>') == 4
    pages = {path: path.read_text(encoding='utf-8') for path in site.rglob('*.html')}
    loaded = re.compile(r'<(?:script|img|link rel="stylesheet")[^>]* (?:src|href)="(?:https?:)?//')
    assert [path for path, text in pages.items() if loaded.search(text)] == []
    loss = next(site.rglob('mmseg_ccdistill.models.losses.content_correlation.html'))
    assert 'id="mmseg_ccdistill.models.losses.content_correlation.CDCLoss"' in loss.read_text()
    assert '<h1>models.losses.content_correlation<' in loss.read_text()
    pairs = 'The four Cor maps and the two domains each one compares. Illumination: day and night of one content.'
    assert pairs in ' '.join(loss.read_text().split())
    assert (site / 'search.html').is_file()
