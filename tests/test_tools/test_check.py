import errno
import importlib.util
import json
import sys
from types import ModuleType

import pytest
from layouts import MAKERS, make_cityscapes, miniature_sets

from mmseg_ccdistill.curation.audit import examine
from mmseg_ccdistill.runtime.command_line import run_main


@pytest.fixture(scope='module')
def check(repository_root) -> ModuleType:
    path = repository_root / 'tools/dataset_converters/check.py'
    spec = importlib.util.spec_from_file_location('check', path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def call(check, monkeypatch, capsys, tmp_path):
    """Run the tool on miniature sets below an empty folder: exit code, output, error output."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(
        check, 'examine', lambda roots, **kwargs: examine(roots, sets=miniature_sets(), **kwargs)
    )

    def run(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, 'argv', ['check.py', *arguments])
        try:
            code = run_main(check.main)
        except SystemExit as error:
            code = error.code
        output = capsys.readouterr()
        return code, output.out, output.err

    return run


def test_a_healthy_set(call, tmp_path):
    make_cityscapes(tmp_path / 'data/cityscapes', with_train_ids=True)
    code, out, err = call('--workers', '1', '--json', 'report.json')
    assert code == 0 and err == ''
    lines = out.splitlines()
    assert (
        lines[0]
        == 'ok     cityscapes  train: 3 images, 64x32, every pixel read, 3 labels (trainIds)'
    )
    assert lines[-1].startswith('11 files in ') and lines[-1].endswith(': 4 ok')
    assert json.loads((tmp_path / 'report.json').read_text())['healthy'] is True


def test_faults_give_status_1_and_the_report(call, tmp_path):
    make_cityscapes(tmp_path / 'city')
    code, out, _ = call('--roots', 'cityscapes=city', '--quick', '--json', 'report.json')
    assert code == 1
    assert 'fault  cityscapes  train: The label' in out
    content = json.loads((tmp_path / 'report.json').read_text())
    assert content['healthy'] is False and content['counts']['fault'] == 2


def test_roots_default_to_what_is_below_data(call, tmp_path, check):
    for name in ('acdc', 'night_driving'):
        MAKERS[name](tmp_path / 'data' / name)
    assert check.parse_roots(None) == {
        'acdc': 'data/acdc',
        'night_driving': 'data/night_driving',
    }
    assert check.parse_roots(['acdc', 'bdd100k=/x=y']) == {'acdc': 'data/acdc', 'bdd100k': '/x=y'}
    assert call('--workers', '1')[0] == 0


def test_mistakes_end_in_one_sentence(call, tmp_path):
    assert call() == (
        2,
        '',
        "error: There is nothing to check below 'data': expected cityscapes or dark_zurich or acdc "
        'or bdd100k or night_driving there; prepare a set (docs/data.md) or give --roots '
        'SET=FOLDER.\n',
    )
    assert call('--roots', 'kitti=x')[2] == (
        "error: --roots: there is no set 'kitti': expected SET=FOLDER with one of cityscapes, "
        'dark_zurich, acdc, bdd100k, night_driving.\n'
    )
    assert call('--roots', 'acdc', 'acdc=y')[2] == (
        "error: --roots: 'acdc' is given twice: expected every set once.\n"
    )
    MAKERS['acdc'](tmp_path / 'data/acdc')
    code, out, err = call('--workers', '1', '--json', 'no/such/folder/report.json')
    assert code == 2 and out == '' and "'no/such/folder/report.json'" in err
    assert err.endswith('to be a folder that can be written to; name another file.\n')


def test_a_report_that_exists_is_kept(call, tmp_path):
    MAKERS['acdc'](tmp_path / 'data/acdc')
    (tmp_path / 'report.json').write_text('mine')
    (tmp_path / 'link.json').symlink_to('gone.json')
    for name in ('report.json', 'link.json'):
        assert call('--workers', '1', '--json', name) == (
            2,
            '',
            f'error: --json: {name!r} exists already; name another file.\n',
        )
    assert (tmp_path / 'report.json').read_text() == 'mine'


def test_a_disk_that_is_full_in_the_end(call, check, monkeypatch, tmp_path):
    """The findings are shown all the same."""
    MAKERS['acdc'](tmp_path / 'data/acdc')

    def write(report, path):
        raise OSError(errno.ENOSPC, 'No space left on device', path)

    monkeypatch.setattr(check, 'write_json', write)
    code, out, err = call('--workers', '1', '--json', 'report.json')
    assert code == 2 and 'ok     acdc' in out
    assert err == (
        "error: --json: 'report.json' cannot be written: No space left on device; "
        'name another file.\n'
    )


def test_a_published_set_is_measured_by_the_published_numbers(call, monkeypatch, check, tmp_path):
    """Without the miniature table a miniature set is short of images."""
    monkeypatch.setattr(check, 'examine', examine)
    make_cityscapes(tmp_path / 'data/cityscapes', with_train_ids=True)
    code, out, _ = call('--quick')
    assert code == 1
    assert "'data/cityscapes/leftImg8bit/train' holds 3 images" in out and 'expected 2975' in out
    assert 'found 64x32): expected 2048x1024' in out
