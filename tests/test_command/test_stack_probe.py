"""What the doctor learns of the stack, however its import ends."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest
import torch

from ccdistill.stack_probe import probe_stack

ROOT = Path(__file__).resolve().parents[2]


def _interpreter(folder: Path, script: str) -> str:
    """A program in the place of Python."""
    path = folder / 'python'
    path.write_text(f'#!/bin/sh\n{script}\n')
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return str(path)


def test_the_stack_of_the_tests(monkeypatch) -> None:
    monkeypatch.setenv('PYTHONPATH', str(ROOT))
    found = probe_stack()
    assert found['error'] is None and found['torch'] == torch.__version__
    assert found['cuda'] == torch.version.cuda
    assert len(found['gpus']) == torch.cuda.device_count()


def test_lines_around_the_answer_do_not_matter(tmp_path) -> None:
    script = (
        'echo noise; echo \'ccdistill-probe:{"error": "no stack", "torch": "2.9"}\'; echo noise'
    )
    assert probe_stack(_interpreter(tmp_path, script)) == dict(
        error='no stack', torch='2.9', cuda=None, gpus=[], compiled=False
    )


@pytest.mark.parametrize(
    ('script', 'error'),
    [
        ('echo boom >&2; exit 3', 'the import of the package ended the process with code 3 (boom)'),
        ('kill -SEGV $$', 'the import of the package ended the process with signal 11 (nothing was printed)'),
        ('exec sleep 9', 'the import of the package took more than 1 s'),
    ],
)  # fmt: skip
def test_an_import_that_ends_the_process(tmp_path, script, error) -> None:
    assert probe_stack(_interpreter(tmp_path, script), seconds=1)['error'] == error
