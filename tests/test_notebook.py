"""docs/notebooks/first_look.ipynb runs from its first cell to its last."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
NOTEBOOK = ROOT / 'docs/notebooks/first_look.ipynb'


def test_the_notebook_is_kept_without_outputs() -> None:
    cells = json.loads(NOTEBOOK.read_text(encoding='utf-8'))['cells']
    code = [cell for cell in cells if cell['cell_type'] == 'code']
    assert len(code) >= 7
    assert [cell for cell in code if cell['outputs'] or cell['execution_count']] == []
    for cell in code:
        compile(''.join(cell['source']), cell['id'], 'exec')


@pytest.mark.slow
def test_the_notebook_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    nbformat = pytest.importorskip('nbformat', reason='the extra docs is not installed')
    nbclient = pytest.importorskip('nbclient', reason='the extra docs is not installed')
    pytest.importorskip('ipykernel', reason='the extra docs is not installed')
    monkeypatch.setenv('FIRST_LOOK', str(tmp_path))
    monkeypatch.setenv('FIRST_LOOK_ITERATIONS', '4')
    monkeypatch.setenv('FIRST_LOOK_IMAGES', '8')
    monkeypatch.setenv('PYTHONPATH', str(ROOT))
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    nbformat.validate(notebook)
    client = nbclient.NotebookClient(
        notebook, timeout=1200, resources={'metadata': {'path': str(NOTEBOOK.parent)}}
    )
    client.execute()
    assert (tmp_path / 'night/iter_4.pth').is_file()
    page = (tmp_path / 'night/report.html').read_text(encoding='utf-8')
    assert 'Scores by class' in page and 'data:image/jpeg' in page
    pictures = [
        output
        for cell in notebook.cells
        for output in cell.get('outputs', ())
        if 'image/png' in output.get('data', {})
    ]
    assert len(pictures) == 2
