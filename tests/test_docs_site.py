"""`make docs`: the site is built without a warning, and every page of the index is in its side bar."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


@pytest.mark.slow
def test_the_site_is_built_without_a_warning(tmp_path: Path) -> None:
    for package in ('sphinx', 'furo', 'myst_parser', 'sphinxcontrib.mermaid'):
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
    assert 'class="math' in method
    loss = next(site.rglob('mmseg_ccdistill.models.losses.content_correlation.html'))
    assert 'id="mmseg_ccdistill.models.losses.content_correlation.CDCLoss"' in loss.read_text()
    assert (site / 'search.html').is_file()
