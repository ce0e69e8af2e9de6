"""Facts of the public sets: consistent in themselves, and the only ones in the code."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from mmseg_ccdistill.datasets import published_sets
from mmseg_ccdistill.datasets.published_sets import (
    ACDC,
    DARK_ZURICH,
    PUBLISHED_SETS,
    Split,
    find_set,
)

ROOT = Path(__file__).resolve().parents[2]
SPLITS = [
    pytest.param(split, id=f'{name}-{layout}-{split.name}')
    for name, published in PUBLISHED_SETS.items()
    for layout, splits in published.layouts.items()
    for split in splits
]


@pytest.mark.parametrize('split', SPLITS)
def test_the_sequences_of_a_split_add_up(split: Split) -> None:
    assert sum(split.sequences.values()) in (0, split.count)


def test_a_split_is_found_by_its_name() -> None:
    assert DARK_ZURICH.split('val night').labels == 'gt/val/night'
    assert ACDC.split('test night').count == 500
    with pytest.raises(KeyError, match='dev'):
        ACDC.split('dev')


@pytest.mark.parametrize(
    ('path', 'expected'),
    [
        ('gt_trainval/gt/night/train/A/a.png', ('acdc', 'gt/night/train/A/a.png')),
        ('x/rgb_anon/train/night/A/a.png', ('dark_zurich', 'rgb_anon/train/night/A/a.png')),
        ('bdd100k/seg/images/val/a.jpg', ('bdd100k', 'seg/images/val/a.jpg')),
        ('leftImg8bit/test/night/a.png', ('night_driving', 'leftImg8bit/test/night/a.png')),
        ('leftImg8bit/test/berlin/a.png', ('cityscapes', 'leftImg8bit/test/berlin/a.png')),
        ('README', None),
    ],
)
def test_a_file_is_known_by_its_folders(path: str, expected: tuple[str, str] | None) -> None:
    assert find_set(path) == expected


def test_the_page_states_the_same_counts() -> None:
    page = (ROOT / 'docs/data.md').read_text(encoding='utf-8')
    rows = dict(re.findall(r'^\| ([^|]+?) \| ([^|]+?) \| [^|]+ \|$', page, re.MULTILINE))

    def counts(*names: tuple[str, str]) -> str:
        return ' / '.join(str(PUBLISHED_SETS[key].split(name).count) for key, name in names)

    for row, key, names in (
        ('Cityscapes train / val / test', 'cityscapes', ('train', 'val', 'test')),
        (
            'Dark Zurich train night / day / twilight',
            'dark_zurich',
            ('train night', 'train day', 'train twilight'),
        ),
        ('Dark Zurich val / test', 'dark_zurich', ('val night', 'test night')),
        ('ACDC-night train / val / test', 'acdc', ('train night', 'val night', 'test night')),
        ('BDD100K-night', 'bdd100k', ('night',)),
        ('Nighttime Driving', 'night_driving', ('test night',)),
    ):
        assert rows[row].startswith(counts(*((key, name) for name in names))), row


def _strings(path: Path) -> Iterator[str]:
    """String literals of a file outside docstrings."""
    tree = ast.parse(path.read_text(encoding='utf-8'))
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef)
    docstrings = {
        id(node.body[0].value)
        for node in ast.walk(tree)
        if isinstance(node, documented) and node.body and isinstance(node.body[0], ast.Expr)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            if id(node) not in docstrings:
                yield node.value


def test_no_other_file_states_them_again() -> None:
    """Names of lists, archives and files; the renderer imitates the layouts and writes them itself."""
    archives = [archive for published in PUBLISHED_SETS.values() for archive in published.archives]
    facts = [
        published_sets.PAIR_LIST,
        published_sets.NIGHT_LIST,
        published_sets.PUBLISHED_NIGHT_LIST,
        published_sets.CORRESPONDENCES,
        published_sets.ANON_SUFFIX,
        published_sets.ANON_LABEL_SUFFIX,
        published_sets.INVALID_SUFFIX,
        *archives,
    ]
    found = [
        (path.name, fact)
        for path in sorted((ROOT / 'mmseg_ccdistill').rglob('*.py'))
        if path.name != 'published_sets.py' and 'mini_night' not in path.parts
        for string in _strings(path)
        for fact in facts
        if fact in string
    ]
    assert found == []
