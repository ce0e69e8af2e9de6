"""No command prints the stack's notice of a client that is not installed; other lines stay."""

from __future__ import annotations

import os
import subprocess
import sys
import warnings
from pathlib import Path

import pytest

from mmseg_ccdistill.import_notice import NOTICE, WARNING, without_notice

ROOT = Path(__file__).resolve().parents[1]
TOOLS = sorted(str(p.relative_to(ROOT)) for p in (ROOT / 'tools').rglob('*.py'))
MODULES = ('demo', 'adaptation', 'adaptation.measure', 'term_gradients', 'export_latency')
#: One of each folder: those that import the most of the stack before the package.
FAST = {'tools/train.py', 'benchmarks.demo'}


@pytest.mark.parametrize(
    'command',
    [
        pytest.param(c, marks=() if c in FAST else pytest.mark.slow)
        for c in (*TOOLS, *(f'benchmarks.{name}' for name in MODULES))
    ],
)
def test_a_command_prints_no_notice(command: str) -> None:
    words = [command] if command.endswith('.py') else ['-m', command]
    env = dict(os.environ, PYTHONPATH=str(ROOT))
    result = subprocess.run(
        [sys.executable, *words, '--help'], cwd=ROOT, env=env, capture_output=True, text=True
    )
    assert result.returncode == 0, result.stderr
    assert result.stdout.startswith('usage: ') and NOTICE not in result.stdout + result.stderr
    assert result.stderr == ''


def test_other_lines_and_errors_pass(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ImportError, match='gone'), without_notice():
        print('first')
        print(NOTICE)
        print(f'{NOTICE}: a reason')
        print('last', end='')
        raise ImportError('gone')
    assert capsys.readouterr().out == f'first\n{NOTICE}: a reason\nlast'


def test_other_warnings_pass() -> None:
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter('always')
        with without_notice():
            warnings.warn(f'{WARNING} from ``mmcv``', UserWarning, stacklevel=1)
            warnings.warn('another', UserWarning, stacklevel=1)
    assert [str(warning.message) for warning in seen] == ['another']
