"""The table of subcommands leads to programs that are there, and starts them as they are."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from ccdistill import subcommands
from ccdistill.shipped_files import shipped_root
from ccdistill.subcommands import SUBCOMMANDS, Subcommand, offered, start

ROOT = Path(__file__).resolve().parents[2]

#: Of the work that `ccdistill` is a face over, what every checkout has.
ALWAYS = {
    *('demo', 'prepare', 'check', 'mini-night', 'browse', 'explain', 'train', 'test'),
    *('test-night', 'compare', 'correlations', 'pseudo-label', 'export', 'submit'),
}


def test_every_program_that_is_there_is_offered() -> None:
    assert set(offered()) >= ALWAYS
    for name, row in offered().items():
        assert (shipped_root() / row.program).is_file(), name


def test_every_tool_for_users_has_a_subcommand() -> None:
    """Conversions of other people's checkpoints stay scripts."""
    tools = {str(path.relative_to(ROOT)) for path in (ROOT / 'tools').rglob('*.py')}
    scripts = {'tools/free_port.py'}
    scripts |= {t for t in tools if t.startswith('tools/model_converters/') and 'night2' not in t}
    assert tools - {row.program for row in SUBCOMMANDS.values()} - scripts == set()


def test_a_subcommand_whose_program_is_missing_is_not_offered(monkeypatch) -> None:
    monkeypatch.setitem(SUBCOMMANDS, 'later', Subcommand('tools/later.py', 'Later.'))
    assert 'later' not in offered() and 'train' in offered()


def test_a_program_gets_its_words_and_keeps_its_exit_code(tmp_path, monkeypatch, capsys) -> None:
    (tmp_path / 'echo.py').write_text(
        "import sys\nif __name__ == '__main__':\n    print(sys.argv)\n    sys.exit(7)\n"
    )
    monkeypatch.setattr(subcommands, 'shipped_root', lambda: tmp_path)
    monkeypatch.setitem(SUBCOMMANDS, 'echo', Subcommand('echo.py', 'Echo.'))
    monkeypatch.setattr(sys, 'argv', ['before'])
    monkeypatch.setattr(sys, 'path', [*sys.path])
    monkeypatch.setitem(sys.modules, '__main__', sys.modules['__main__'])  # put back at the end
    with pytest.raises(SystemExit) as ended:
        start('echo', ['a b', '--flag', '-x'])
    assert ended.value.code == 7
    assert capsys.readouterr().out == "['ccdistill echo', 'a b', '--flag', '-x']\n"


def test_a_mistake_in_a_config_name_ends_the_command_as_it_ends_the_tool(tmp_path) -> None:
    result = subprocess.run(
        [sys.executable, '-m', 'ccdistill', 'train', 'ccdistill/refinenet_r101_cs2d'],
        cwd=tmp_path, env=dict(os.environ, PYTHONPATH=str(ROOT)), capture_output=True, text=True,
    )  # fmt: skip
    assert result.returncode == 2 and result.stdout == ''
    assert result.stderr == (
        "error: the config file 'ccdistill/refinenet_r101_cs2d' does not exist; give the path of a config, or the name "
        'of one that ships, such as ccdistill/refinenet_r101_cs2dz\n'
    )
