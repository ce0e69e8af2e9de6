"""Every config that a page shows is one that the tools take."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from benchmarks.demo import LENGTHS
from mmseg_ccdistill.runtime.command_line import load_config
from mmseg_ccdistill.runtime.read_settings import READ_NAMES

ROOT = Path(__file__).resolve().parents[1]
CONFIGS = ROOT / 'configs'
PAPER = CONFIGS / 'ccdistill/refinenet_r101_cs2dz.py'
PAGES = [ROOT / 'README.md', *sorted((ROOT / 'docs').rglob('*.md')), *sorted(CONFIGS.rglob('*.md'))]


def configs_on(page: Path) -> list[str]:
    """The Python blocks of a page that assign settings of a config and do nothing else."""
    found = []
    for block in re.findall(r'```python\n(.*?)```', page.read_text(), re.DOTALL):
        try:
            body = ast.parse(block).body
        except SyntaxError:  # a block that leaves something out with dots
            continue
        names = {
            target.id
            for line in body
            if isinstance(line, ast.Assign)
            for target in line.targets
            if isinstance(target, ast.Name)
        }
        if all(isinstance(line, ast.Assign) for line in body) and names & set(READ_NAMES):
            found.append(block)
    return found


def with_bases(block: str) -> str | None:
    """The config with the whole paths of what it goes on from; None if that stands on the page too.

    A block without ``_base_`` changes the paper's config. Others stand in a folder that their page names.
    """
    line = next(
        (part for part in ast.parse(block).body if ast.unparse(part).startswith('_base_ =')), None
    )
    if line is None:
        return f'_base_ = {str(PAPER)!r}\n{block}'
    assert isinstance(line, ast.Assign)
    bases = ast.literal_eval(line.value)
    for folder in (ROOT, CONFIGS, CONFIGS / 'ccdistill'):
        paths = [folder / base for base in ([bases] if isinstance(bases, str) else bases)]
        if all(path.exists() for path in paths):
            shown = ast.get_source_segment(block, line)
            assert shown is not None
            return block.replace(shown, f'_base_ = {[str(path) for path in paths]!r}')
    return None


BLOCKS = [
    pytest.param(whole, id=f'{page.relative_to(ROOT)}-{number}')
    for page in PAGES
    for number, block in enumerate(configs_on(page))
    if (whole := with_bases(block)) is not None
]


def test_the_pages_name_the_checkpoints_of_the_demo() -> None:
    """Those of the network that ``make demo`` takes; its source stage has no adaptation's length."""
    source, adaptation = LENGTHS['pretrained']
    found = [
        (stage, int(iters))
        for page in PAGES
        for stage, iters in re.findall(r'work_dirs/demo/(\w+)/iter_(\d+)\.pth', page.read_text())
    ]
    assert len(found) > 5
    assert {iters for stage, iters in found if stage == 'source'} <= {source}
    assert {iters for stage, iters in found if stage != 'source'} == {adaptation}


def test_the_pages_show_configs() -> None:
    assert len(BLOCKS) > 15


@pytest.mark.parametrize('text', BLOCKS)
def test_the_tools_take_a_config_of_a_page(text: str, tmp_path: Path) -> None:
    path = tmp_path / 'shown.py'
    path.write_text(text)
    load_config(str(path))
