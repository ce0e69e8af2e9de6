"""Shipped configs by name, in a checkout and in an installed package."""

from __future__ import annotations

import importlib.machinery
from pathlib import Path

import pytest

from ccdistill import shipped_files
from ccdistill.shipped_files import config_names, find_config, nearest_config, shipped_root

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def package(tmp_path, monkeypatch) -> Path:
    """A package elsewhere, in the place of ours."""
    folder = tmp_path / 'site' / 'mmseg_ccdistill'
    folder.mkdir(parents=True)
    spec = importlib.machinery.ModuleSpec('mmseg_ccdistill', None, is_package=True)
    spec.submodule_search_locations = [str(folder)]
    monkeypatch.setattr(shipped_files.importlib.util, 'find_spec', lambda name: spec)
    monkeypatch.setattr(shipped_files, '__file__', str(tmp_path / 'site/ccdistill/here.py'))
    shipped_root.cache_clear()
    yield folder
    shipped_root.cache_clear()


def _ship(root: Path) -> None:
    (root / 'configs/ccdistill').mkdir(parents=True)
    (root / 'configs/ccdistill/mine.py').touch()
    (root / 'model-index.yml').touch()


def test_a_checkout_is_its_own_root() -> None:
    assert shipped_root() == ROOT


def test_an_installed_package_has_them_inside(package) -> None:
    _ship(package / '.mim')
    assert shipped_root() == package / '.mim'
    assert config_names() == ['ccdistill/mine']
    assert find_config('ccdistill/mine') == package / '.mim/configs/ccdistill/mine.py'


def test_the_wheels_own_files_go_before_a_checkout_around_it(package) -> None:
    _ship(package / '.mim')
    _ship(package.parent)
    assert shipped_root() == package / '.mim'


def test_files_that_are_gone_are_told_in_one_sentence(package) -> None:
    with pytest.raises(FileNotFoundError, match='install the package again$'):
        shipped_root()


def test_names_are_those_of_the_files_without_what_others_build_on() -> None:
    names = config_names()
    assert {'ccdistill/refinenet_r101_cs2dz', 'refinenet/refinenet_small_mini'} <= set(names)
    assert 'ccdistill/ablations/wo_cdc' in names or any(
        n.startswith('ccdistill/abl') for n in names
    )
    assert not [name for name in names if name.startswith('_base_')]
    assert len(names) == len(
        [p for p in (ROOT / 'configs').rglob('*.py') if '_base_' not in p.parts]
    )


@pytest.mark.parametrize(
    'name',
    [
        'ccdistill/refinenet_r101_cs2dz',
        'ccdistill/refinenet_r101_cs2dz.py',
        'configs/ccdistill/refinenet_r101_cs2dz.py',
    ],
)
def test_a_name_with_or_without_path_and_ending(name) -> None:
    assert find_config(name) == ROOT / 'configs/ccdistill/refinenet_r101_cs2dz.py'


@pytest.mark.parametrize(
    'name', ['refinenet_r101_cs2dz', 'ccdistill', '_base_/default_runtime', '../setup', '']
)
def test_what_is_no_name(name) -> None:
    assert find_config(name) is None


def test_the_nearest_name() -> None:
    assert nearest_config('ccdistil/refinenet_r101_cs2dz') == 'ccdistill/refinenet_r101_cs2dz'
    assert nearest_config('qqqqqqq') is None
