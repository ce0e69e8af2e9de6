"""``ccdistill``: help without torch, mistakes in one sentence, completion."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from ccdistill.command import COMPLETE_VARIABLE, ccdistill
from ccdistill.subcommands import offered

ROOT = Path(__file__).resolve().parents[2]


def _complete(words: str, number: int, shell: str = 'bash') -> list[str]:
    """What a shell is answered for a line whose word ``number`` is typed."""
    variables = {'COMP_WORDS': words, 'COMP_CWORD': str(number)}
    env = dict(os.environ, PYTHONPATH=str(ROOT), **variables)
    result = subprocess.run(
        [sys.executable, '-m', 'ccdistill'],
        env={**env, COMPLETE_VARIABLE: f'{shell}_complete'}, capture_output=True, text=True,
    )  # fmt: skip
    assert result.stderr == ''
    return result.stdout.splitlines()


def test_help_names_every_subcommand_and_imports_nothing_heavy() -> None:
    script = (
        'import sys\nfrom ccdistill.command import main\nsys.argv = ["ccdistill", "--help"]\n'
        'try:\n    main()\nexcept SystemExit as end:\n    assert end.code == 0\n'
        'print({"torch", "mmengine", "mmcv", "mmseg", "mmseg_ccdistill", "numpy", "cv2"} & set(sys.modules))'
    )
    result = subprocess.run(
        [sys.executable, '-c', script], cwd=ROOT, capture_output=True, text=True, check=True
    )
    *page, heavy = result.stdout.splitlines()
    assert heavy == 'set()'
    listed = [line.split()[0] for line in page[page.index('Commands:') + 1 :] if line]
    assert listed == [*offered(), 'doctor', 'completion']


def test_a_wrong_subcommand_names_the_nearest() -> None:
    result = CliRunner().invoke(ccdistill, ['trian', 'x'])
    assert result.exit_code == 2
    assert result.output == (
        "error: there is no subcommand 'trian': expected one of ccdistill --help, such as 'train'; correct its name\n"
    )


def test_a_wrong_subcommand_like_none_lists_them_all() -> None:
    result = CliRunner().invoke(ccdistill, ['qqq'])
    assert result.exit_code == 2
    assert f': {", ".join([*offered(), "doctor", "completion"])}; correct' in result.output


def test_completion_of_subcommands_configs_and_options() -> None:
    assert _complete('ccdistill tes', 1) == ['plain,test', 'plain,test-night']
    assert _complete('ccdistill train ccdistill/refinenet_r50', 2) == [
        'plain,ccdistill/refinenet_r50_cs2dz',
        'plain,ccdistill/refinenet_r50_cs2dz_plus',
    ]
    assert _complete('ccdistill train x --res', 3) == ['plain,--resume']
    assert _complete('ccdistill train x --trust', 3) == ['plain,--trust-pickle']
    assert _complete('ccdistill test x work_dirs/it', 3) == ['file,work_dirs/it']


@pytest.mark.parametrize('shell', ['zsh', 'fish'])
def test_other_shells_get_a_script(shell: str) -> None:
    result = CliRunner().invoke(ccdistill, ['completion', shell])
    assert result.exit_code == 0
    assert f'{COMPLETE_VARIABLE}={shell}_complete' in result.output and 'ccdistill' in result.output


def test_an_unknown_shell_is_refused() -> None:
    result = CliRunner().invoke(ccdistill, ['completion', 'cmd'])
    assert result.exit_code == 2
    assert "'cmd' is not one of 'bash', 'zsh', 'fish'" in result.output
