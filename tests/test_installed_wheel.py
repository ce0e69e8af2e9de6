"""The built wheel alone, in an environment of its own and an empty folder: help, explain, demo, training, own data.

The stack comes from the environment of the tests; of this project only the wheel is there.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import site
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import cv2
import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[1]
LEFT_OUT = ('.*', '__pycache__', 'build', 'dist', 'data', 'work_dirs', '*.egg-info', '*.pth')

#: Each call imports torch; the demo renders 680 frames and tests four networks.
pytestmark = [pytest.mark.slow, pytest.mark.timeout(3600)]


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


@pytest.fixture
def call(environment, tmp_path):
    """Runs ``ccdistill`` of the environment in a folder that was empty at first."""
    env = {k: v for k, v in os.environ.items() if k not in ('PYTHONPATH', 'VIRTUAL_ENV')}

    def run(*words: str) -> str:
        done = subprocess.run(
            [environment / 'bin/ccdistill', *words], cwd=tmp_path, env=env, capture_output=True, text=True
        )  # fmt: skip
        assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
        return done.stdout

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


def test_demo_and_training_in_an_empty_folder(call, tmp_path) -> None:
    call('demo', '--source-iters', '2', '--adapt-iters', '2')
    summary = json.loads((tmp_path / 'work_dirs/demo/summary.json').read_text())
    assert summary['iterations'] == {'source': 2, 'adaptation': 2}
    assert (tmp_path / 'work_dirs/demo/panel.png').stat().st_size > 10_000
    assert sorted(path.name for path in tmp_path.iterdir()) == ['data', 'work_dirs']
    options = ('train_cfg.max_iters=2', 'train_cfg.val_interval=2', 'load_from=None')
    name = 'ccdistill/refinenet_small_mini_day2night'
    call('train', name, '--cfg-options', *options)
    assert (tmp_path / f'work_dirs/{name}/iter_2.pth').is_file()


def _street(folder: Path) -> None:
    """Five labelled days, five nights of the same places, and a video of the nights; 96 x 64 pixels."""
    random = np.random.default_rng(0)
    colours = random.integers(0, 256, (5, 3))
    for name in ('day/images', 'day/labels', 'night/images'):
        (folder / 'data/my_streets' / name).mkdir(parents=True)
    codec = cv2.VideoWriter.fourcc(*'MJPG')
    video = cv2.VideoWriter(str(folder / 'VIDEO.avi'), codec, 5, (96, 64))
    for k in range(5):
        label = np.repeat(np.roll(np.arange(5), k), 20)[None, :96].repeat(64, axis=0)
        day = np.clip(colours[label] + random.normal(0, 9, (64, 96, 3)), 0, 255).astype(np.uint8)
        night = day // 4
        for name, image in (('day/images', day), ('night/images', night)):
            assert cv2.imwrite(str(folder / f'data/my_streets/{name}/{k}.jpg'), image)
        cv2.imwrite(str(folder / f'data/my_streets/day/labels/{k}.png'), label.astype(np.uint8))
        video.write(night)
    video.release()


def test_a_stranger_trains_predicts_exports_and_reads(call, tmp_path) -> None:
    """Five own days and nights, five own classes; every command is one that the command itself has named."""
    pytest.importorskip('onnxruntime', reason='the extra onnx is not installed')
    _street(tmp_path)
    assert re.search(
        r'^ +own-data +Write configs for images and classes of your own', call('--help'), re.M
    )
    example = re.search(r'^ +ccdistill (own-data .*)$', call('own-data', '--help'), re.M)
    assert example is not None
    said = call(*shlex.split(example[1]))
    steps = [shlex.split(line) for line in re.findall(r'^ +ccdistill (.*)$', said, re.M)]
    assert [step[0] for step in steps] == [
        *['train'] * 3,
        *('predict', 'report', 'export'),
    ]
    shorter = ('--cfg-options', 'train_cfg.max_iters=3', 'train_cfg.val_interval=3')
    begun = 'load_from=work_dirs/my_streets_source/iter_3.pth'
    for number, step in enumerate(steps):
        words = [word.replace('iter_600', 'iter_3').replace('.mp4', '.avi') for word in step]
        words += [*shorter, begun] if number in (1, 2) else shorter if number == 0 else ()
        call(*words)
    shown = cv2.VideoCapture(str(tmp_path / 'predictions/overlay/VIDEO.mp4'))
    assert [shown.read()[0] for _ in range(6)] == [True] * 5 + [False]
    classes = ['sky', 'road', 'lane marking', 'bus', 'person']
    assert json.loads((tmp_path / 'predictions/predictions.json').read_text())['classes'] == classes
    report = (tmp_path / 'work_dirs/my_streets/report.html').read_text()
    assert 'lane marking' in report and 'cross.loss_cdc_js' in report
    assert (tmp_path / 'work_dirs/my_streets/night.onnx').stat().st_size > 1e6
