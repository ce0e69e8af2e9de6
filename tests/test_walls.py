"""The rooms of the package import downwards only, and ``lint-imports`` says so when one does not."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope='module')
def house(tmp_path_factory) -> Path:
    """A copy of what the contracts speak of."""
    pytest.importorskip('importlinter')
    copy = tmp_path_factory.mktemp('house')
    for name in ('ccdistill', 'mmseg_ccdistill', 'benchmarks'):
        shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns('__pycache__'))
    shutil.copy(ROOT / 'pyproject.toml', copy)
    return copy


def _lint(house: Path) -> subprocess.CompletedProcess[str]:
    command = 'from importlinter.cli import lint_imports_command; lint_imports_command()'
    return subprocess.run(
        [sys.executable, '-c', command, '--no-cache', '--no-logo'], cwd=house,
        env=dict(os.environ, PYTHONPATH=str(house)), capture_output=True, text=True,
    )  # fmt: skip


def test_every_room_imports_downwards_only(house) -> None:
    result = _lint(house)
    assert result.returncode == 0, result.stdout
    assert '0 broken' in result.stdout


@pytest.mark.parametrize(
    ('importer', 'statement', 'contract'),
    [
        ('runtime/ranks.py', 'from ..datasets import drawn', 'The rooms of the package'),
        ('datasets/drawn.py', 'from ..models import losses', 'The rooms of the package'),
        ('runtime/ranks.py', 'from . import start_together', 'No circles'),
        ('curriculum/camera.py', 'import torch', 'Refinement of labels'),
        ('curriculum/camera.py', 'from ..runtime import random_state', 'Refinement of labels'),
        ('new_room/idea.py', 'import math', 'The rooms of the package'),
        ('errors.py', 'import benchmarks.timing', 'Benchmarks measure'),
        ('../ccdistill/doctor.py', 'import torch', 'The command answers'),
    ],
)
def test_an_arrow_that_runs_the_wrong_way_fails(house, importer, statement, contract) -> None:
    path = house / 'mmseg_ccdistill' / importer
    before = path.read_text() if path.exists() else None
    path.parent.mkdir(exist_ok=True)
    (path.parent / '__init__.py').touch()
    path.write_text(f'{before or ""}\n{statement}\n')
    try:
        result = _lint(house)
    finally:
        if before is None:
            shutil.rmtree(path.parent)
        else:
            path.write_text(before)
    assert result.returncode == 1, result.stdout
    broken = [line for line in result.stdout.splitlines() if ' BROKEN' in line]
    assert any(line.startswith(contract) for line in broken), result.stdout
