"""The built wheel alone, in an environment of its own and an empty folder: help, explain, demo, training.

The stack comes from the environment of the tests; of this project only the wheel is there.
"""

from __future__ import annotations

import json
import os
import shutil
import site
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
LEFT_OUT = ('.*', '__pycache__', 'build', 'dist', 'data', 'work_dirs', '*.egg-info', '*.pth')

pytestmark = pytest.mark.slow


def _pip(*words: object) -> None:
    command = [sys.executable, '-m', 'pip', '--disable-pip-version-check', *map(str, words)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope='module')
def wheel(tmp_path_factory) -> Path:
    """A wheel of a copy of the checkout, built without a network."""
    pytest.importorskip('setuptools', minversion='70.1', reason='builds wheels by itself')
    folder = tmp_path_factory.mktemp('wheel')
    shutil.copytree(ROOT, folder / 'copy', ignore=shutil.ignore_patterns(*LEFT_OUT))
    words = ('--no-build-isolation', '--no-deps', '--no-index', '--wheel-dir', folder)
    _pip('wheel', *words, folder / 'copy')
    (built,) = folder.glob('*.whl')
    return built


@pytest.fixture(scope='module')
def environment(wheel, tmp_path_factory) -> Path:
    """A fresh environment with the wheel, which sees the packages of this one behind it."""
    folder = tmp_path_factory.mktemp('environment')
    subprocess.run([sys.executable, '-m', 'venv', '--without-pip', folder], check=True)
    version = f'python{sys.version_info.major}.{sys.version_info.minor}'
    stack = [sysconfig.get_path('purelib'), *site.getsitepackages()]
    packages = folder / 'lib' / version / 'site-packages'
    (packages / 'stack.pth').write_text('\n'.join(dict.fromkeys(stack)))
    _pip('--python', folder / 'bin/python', 'install', '--no-deps', '--no-index', wheel)
    return folder


@pytest.fixture(scope='module')
def call(environment, tmp_path_factory):
    """Runs ``ccdistill`` of the environment in a folder that was empty at first."""
    folder = tmp_path_factory.mktemp('empty')
    env = {k: v for k, v in os.environ.items() if k not in ('PYTHONPATH', 'VIRTUAL_ENV')}

    def run(*words: str) -> str:
        done = subprocess.run(
            [environment / 'bin/ccdistill', *words], cwd=folder, env=env, capture_output=True, text=True
        )  # fmt: skip
        assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
        return done.stdout

    run.folder = folder  # type: ignore[attr-defined]
    return run


def test_what_ships_is_inside(wheel) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    inside = 'mmseg_ccdistill/.mim'
    for folder, endings in (('configs', ('.py', '.yml')), ('tools', ('.py', '.sh'))):
        files = [p for p in (ROOT / folder).rglob('*') if p.suffix in endings]
        assert len(files) > 15
        missing = {f'{inside}/{file.relative_to(ROOT)}' for file in files} - names
        assert missing == set()
    assert f'{inside}/model-index.yml' in names and f'{inside}/benchmarks/demo.py' in names
    tops = {name.partition('/')[0] for name in names}
    assert {top for top in tops if not top.endswith('.dist-info')} == {
        'ccdistill',
        'mmseg_ccdistill',
    }
    assert not [name for name in names if '__pycache__' in name]


def test_help_and_a_config_by_name(call) -> None:
    assert 'pseudo-label' in call('--help')
    page = call('explain', 'ccdistill/refinenet_r101_cs2dz').splitlines()
    assert page[0].endswith('mmseg_ccdistill/.mim/configs/ccdistill/refinenet_r101_cs2dz.py')
    assert not page[0].startswith(str(ROOT))
    assert page[-1] == 'does what ccdistill/refinenet_r101_cs2dz does'


def test_demo_and_training_in_an_empty_folder(call) -> None:
    call('demo', '--source-iters', '2', '--adapt-iters', '2')
    summary = json.loads((call.folder / 'work_dirs/demo/summary.json').read_text())
    assert summary['iterations'] == {'source': 2, 'adaptation': 2}
    assert (call.folder / 'work_dirs/demo/panel.png').stat().st_size > 10_000
    assert sorted(path.name for path in call.folder.iterdir()) == ['data', 'work_dirs']
    options = ('train_cfg.max_iters=2', 'train_cfg.val_interval=2', 'load_from=None')
    name = 'ccdistill/refinenet_small_mini_day2night'
    call('train', name, '--cfg-options', *options)
    assert (call.folder / f'work_dirs/{name}/iter_2.pth').is_file()
