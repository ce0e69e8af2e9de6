"""Options that completion reads from the source are those that a program has."""

from __future__ import annotations

import argparse
import re
from pathlib import Path

import pytest
from tool_project import load_tool

from ccdistill.option_names import option_names
from ccdistill.subcommands import offered

ROOT = Path(__file__).resolve().parents[2]

#: Tools that make some options in a loop, which completion does not know.
COMPUTED = {'tools/dataset_converters/mini_night.py', 'tools/reproduce.py'}


def _in_force(
    tool: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> set:
    """Long options in a tool's own help."""
    module = load_tool(tool)
    monkeypatch.setattr('sys.argv', [tool, '--help'])
    with pytest.raises(SystemExit):
        module.main()
    page = capsys.readouterr().out
    return set(re.findall(r'^ +(?:-\w, )?(--[a-z][\w-]*)', page, flags=re.M))


@pytest.mark.parametrize(
    'tool', sorted(row.program for row in offered().values() if row.program.startswith('tools/'))
)
def test_they_are_those_of_the_help(tool, monkeypatch, capsys) -> None:
    found, in_force = set(option_names(ROOT / tool)), _in_force(tool, monkeypatch, capsys)
    assert found <= in_force
    if tool not in COMPUTED:
        assert found == in_force


def test_a_program_whose_main_stands_in_the_package(tmp_path) -> None:
    file = tmp_path / 'thin.py'
    file.write_text('from mmseg_ccdistill.runtime.override_syntax import add_override_argument\n')
    assert option_names(file) == ('--cfg-options', '--help')
    package = ROOT / 'mmseg_ccdistill'
    with_main = [p for p in package.rglob('*.py') if '\ndef main(' in p.read_text()]
    for path in with_main:  # the modules behind the thin tools
        module = '.'.join(path.relative_to(ROOT).with_suffix('').parts)
        thin = tmp_path / f'{path.stem}_tool.py'
        thin.write_text(f'from {module} import main\n')
        assert option_names(thin) == option_names(path)


def test_hidden_options_stay_hidden(tmp_path) -> None:
    file = tmp_path / 'tool.py'
    file.write_text(
        "p.add_argument('--seen', '-s')\np.add_argument('--local_rank', help=argparse.SUPPRESS)\n"
        "p.add_argument('plain')\n"
    )
    assert argparse.SUPPRESS
    assert option_names(file) == ('--help', '--seen')
