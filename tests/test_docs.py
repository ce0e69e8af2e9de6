"""docs/paper.md: every file, argument, value in force and test that it names exists."""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from mmengine.config import Config
from mmengine.registry import OPTIMIZERS, PARAM_SCHEDULERS, init_default_scope
from mmseg.registry import DATASETS, MODELS, TRANSFORMS

import mmseg_ccdistill.models.losses as losses

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / 'docs' / 'paper.md'
CONFIG = Config.fromfile(str(ROOT / 'configs/ccdistill/refinenet_r101_cs2dz.py'))

TEST = re.compile(r'`(tests/[\w/]+\.py)::(\w+)`')
FILE = re.compile(r'`([\w./-]+\.py)`')
CALL = re.compile(r'`([A-Za-z_]\w*\([^`]*\))`')
SETTING = re.compile(r'`([a-z_]+(?:\.\w+)+)=([^`]+)`')


def rows() -> list[dict[str, str]]:
    """Rows of all tables of the page, by column heading."""
    found: list[dict[str, str]] = []
    heading: list[str] = []
    for line in PAGE.read_text().splitlines():
        if not line.startswith('|'):
            heading = []
            continue
        cells = [cell.strip() for cell in line.strip('|').split('|')]
        if not heading:
            heading = cells
        elif not set(line) <= set('|- '):
            assert len(cells) == len(heading), line
            found.append(dict(zip(heading, cells, strict=True)))
    return found


ROWS = rows()


def label(row: dict[str, str]) -> str:
    return next(iter(row.values()))[:40]


def parameters(component: Any) -> dict[str, Any]:
    """Named parameters of a function, or of a class and its bases, with their defaults."""
    if not inspect.isclass(component):
        return {n: p.default for n, p in inspect.signature(component).parameters.items()}
    found: dict[str, Any] = {}
    for base in reversed(component.__mro__):
        if '__init__' in vars(base):
            found.update(
                {n: p.default for n, p in inspect.signature(base.__init__).parameters.items()}
            )
    return found


def component_of(name: str) -> Any:
    init_default_scope('mmseg')
    if hasattr(losses, name):
        return getattr(losses, name)
    for registry in (MODELS, TRANSFORMS, DATASETS, OPTIMIZERS, PARAM_SCHEDULERS):
        component = registry.get(name)
        if component is not None:
            return component
    raise AssertionError(f'docs/paper.md names {name}, which is not registered')


def configured(name: str, node: Any = CONFIG._cfg_dict) -> Iterator[dict[str, Any]]:
    """All components of one type in the paper's config."""
    if isinstance(node, dict):
        if node.get('type') == name:
            yield node
        for child in node.values():
            yield from configured(name, child)
    elif isinstance(node, (list, tuple)):
        for child in node:
            yield from configured(name, child)


def value_of(node: ast.AST | str) -> Any:
    text = node if isinstance(node, str) else ast.unparse(node)
    return eval(text, {'__builtins__': {}, 'range': range})  # our own page


def test_the_page_has_its_tables() -> None:
    text = PAGE.read_text()
    assert all(f'| Eq{s}' in text for s in ('. 1', 's. 2, 3', '. 4', '. 5', '. 6', '. 7', '. 8'))
    assert len(ROWS) > 60
    assert sum('mIoU of the paper' in row for row in ROWS) == 10


def test_the_differences_of_table_3() -> None:
    """Of the paper's mIoUs: each row from "Ours", and the two of the text from "w/o CDC and CDS"."""
    table = {row['row']: row for row in ROWS if 'difference' in row}
    scores = {name: float(row['mIoU of the paper']) for name, row in table.items()}
    for name, row in table.items():
        stated = float(row['difference'].replace('−', '-'))
        assert stated == pytest.approx(scores[name] - scores['Ours']), name
    neither = scores['w/o CDC and CDS']
    assert scores['w/o CDC'] - neither == pytest.approx(0.5)
    assert scores['w/o CDS'] - neither == pytest.approx(-0.8)


@pytest.mark.parametrize('row', ROWS, ids=label)
def test_every_row_is_pinned_by_tests_that_exist(row: dict[str, str]) -> None:
    named = TEST.findall(row['test'])
    assert named
    for path, name in named:
        tree = ast.parse((ROOT / path).read_text())
        names = {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}
        assert name in names, f'{path} has no test {name}'


@pytest.mark.parametrize('row', ROWS, ids=label)
def test_every_file_exists(row: dict[str, str]) -> None:
    for name in FILE.findall(' '.join(row.values())):
        inside = ROOT / 'mmseg_ccdistill' / name
        assert (ROOT / name).is_file() or inside.is_file(), name


@pytest.mark.parametrize('row', ROWS, ids=label)
def test_every_argument_exists_and_its_value_is_in_force(row: dict[str, str]) -> None:
    for text in CALL.findall(' '.join(row.values())):
        call = ast.parse(text, mode='eval').body
        assert isinstance(call, ast.Call) and isinstance(call.func, ast.Name), text
        known = parameters(component_of(call.func.id))
        for node in call.args:  # a name alone: an argument to choose another value of
            assert isinstance(node, ast.Name) and node.id in known, text
        used = list(configured(call.func.id)) or [{}]
        for keyword in call.keywords:
            assert keyword.arg in known, text
            values = [settings.get(keyword.arg, known[keyword.arg]) for settings in used]
            assert value_of(keyword.value) in values, f'{text}: in force is {values}'


@pytest.mark.parametrize('row', ROWS, ids=label)
def test_every_setting_of_the_config_is_as_stated(row: dict[str, str]) -> None:
    for key, value in SETTING.findall(' '.join(row.values())):
        node: Any = CONFIG
        for part in key.split('.'):
            node = node[part]
        assert node == value_of(value), key


def test_the_map_of_the_house_names_places_that_exist() -> None:
    rows = re.findall(r'^\| .* \| `(\S+)` \|$', (ROOT / 'docs/house.md').read_text(), flags=re.M)
    assert len(rows) >= 15
    assert [row for row in rows if not (ROOT / row).exists()] == []
