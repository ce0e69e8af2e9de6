import importlib.util
import sys
from types import ModuleType

import pytest
from layouts import (
    BDD_NIGHT,
    MAKERS,
    bdd100k_night_list,
    make_cityscapes,
    make_dark_zurich,
    tree_contents,
    zip_set,
)
from mmengine.config import Config
from mmengine.registry import init_default_scope

from mmseg_ccdistill.datasets import check_dataset
from mmseg_ccdistill.datasets.file_check import build_dataset
from mmseg_ccdistill.runtime.command_line import run_main


@pytest.fixture(scope='module')
def prepare(repository_root) -> ModuleType:
    path = repository_root / 'tools/dataset_converters/prepare.py'
    spec = importlib.util.spec_from_file_location('prepare', path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def call(prepare, monkeypatch, capsys, tmp_path):
    """Run the tool below an empty folder: exit code, standard output, error output."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, 'argv', ['prepare.py', *map(str, arguments)])
        code = run_main(prepare.main)
        output = capsys.readouterr()
        return code, output.out, output.err

    return run


def test_cityscapes_from_zips_to_train_ids(call, tmp_path):
    tree = make_cityscapes(tmp_path / 'tree')
    zips = zip_set('cityscapes', tree, tmp_path / 'downloads')
    code, out, _ = call('cityscapes', *zips, '--workers', 1)
    assert code == 0
    assert out == (
        'data/cityscapes: 28 files placed, 0 kept\n'
        'labelTrainIds: 5 written, 0 kept\n'
        'Check it: python tools/dataset_converters/check.py --roots cityscapes=data/cityscapes\n'
    )
    first = tree_contents(tmp_path / 'data')
    code, out, _ = call('cityscapes', *zips, '--workers', 1)
    assert code == 0 and '0 files placed, 28 kept\nlabelTrainIds: 0 written, 5 kept' in out
    assert tree_contents(tmp_path / 'data') == first


def test_cityscapes_one_archive_at_a_time(call, tmp_path):
    tree = make_cityscapes(tmp_path / 'tree')
    images, labels = zip_set('cityscapes', tree, tmp_path / 'downloads')
    assert 'left out until gtFine_trainvaltest.zip is given, too' in call('cityscapes', images)[1]
    assert 'labelTrainIds: 5 written' in call('cityscapes', labels, '--workers', 1)[1]


def test_labels_of_a_linked_set_stay_out_of_the_source(call, tmp_path):
    source = make_cityscapes(tmp_path / 'tree')
    before = tree_contents(source)
    code, _, _ = call('cityscapes', source, '--link', '--root', 'here', '--workers', 1)
    assert code == 0
    assert tree_contents(source) == before
    assert len(list((tmp_path / 'here').rglob('*labelTrainIds.png'))) == 5


def test_dark_zurich_from_zips_to_pairs(call, tmp_path):
    tree = make_dark_zurich(tmp_path / 'tree')
    zips = zip_set('dark_zurich', tree, tmp_path / 'downloads')
    assert 'pair list: left out until' in call('dark_zurich', zips[1])[1]
    code, out, _ = call('dark_zurich', *zips)
    assert (
        code == 0
        and 'data/dark_zurich/lists/zurich_dn_pair_train.csv: 4 pairs (2416 are published)\n' in out
    )
    twilight = 'data/dark_zurich/lists/zurich_twilight_day_pair_train.csv'
    assert f'{twilight}: 2 pairs (2920 are published)\n' in out
    assert (tmp_path / twilight).read_text().splitlines()[0] == (
        'train/twilight/GOPR0348/GOPR0348_frame_000001,train/day/GOPR0345/GOPR0345_frame_000001'
    )
    listed = tmp_path / 'data/dark_zurich/lists/zurich_dn_pair_train.csv'
    code, _, _ = call('dark_zurich', tree, '--root', 'other', '--list', listed)
    assert code == 0
    other = tmp_path / 'other/lists/zurich_dn_pair_train.csv'
    assert other.read_bytes() == listed.read_bytes()


@pytest.mark.parametrize('name', ['bdd100k', 'bdd100k_old'])
def test_bdd100k_from_zips_to_the_list(call, tmp_path, name):
    maker = MAKERS['bdd100k']
    tree = maker(tmp_path / 'tree', 'old' if name.endswith('old') else 'new')
    zips = zip_set(name, tree, tmp_path / 'downloads')
    code, _, err = call('bdd100k', *zips)
    assert code == 2 and err == (
        'error: The list of the 87 night images is missing: expected '
        'images_trainval_night_correct_filenames.txt; download it from the MGCDA repository '
        '(data/bdd100k_lists_file_names) and give it with --list.\n'
    )
    (tmp_path / 'list.txt').write_text(bdd100k_night_list())
    code, out, _ = call('bdd100k', '--list', 'list.txt')
    assert (
        code == 0 and 'data/bdd100k/lists/bdd100k_night.txt: 3 images (87 are published)\n' in out
    )
    lines = (tmp_path / 'data/bdd100k/lists/bdd100k_night.txt').read_text().splitlines()
    assert lines == sorted(BDD_NIGHT)
    assert call('bdd100k')[0] == 0


@pytest.mark.parametrize('name', ['acdc', 'night_driving'])
def test_sets_that_need_nothing_more(call, tmp_path, name):
    tree = MAKERS[name](tmp_path / 'tree')
    code, out, _ = call(name, *zip_set(name, tree, tmp_path / 'downloads'))
    assert code == 0 and f'data/{name}: ' in out


def test_the_configs_find_what_was_prepared(call, tmp_path, repository_root):
    """From archives to the datasets of training and of every test set, and nothing by hand."""
    (tmp_path / 'list.txt').write_text(bdd100k_night_list())
    for name, maker in MAKERS.items():
        zips = zip_set(name, maker(tmp_path / 'trees' / name), tmp_path / 'downloads')
        extra = ['--list', 'list.txt'] if name == 'bdd100k' else []
        assert call(name, *zips, '--workers', 1, *extra)[0] == 0
    bases = repository_root / 'configs/_base_/datasets'
    found = {}
    init_default_scope('mmseg')
    for base in ('dark_zurich_val', 'acdc_night_val', 'bdd100k_night', 'night_driving'):
        dataset = Config.fromfile(bases / f'{base}.py')[f'{base}_dataloader'].dataset
        found[base] = build_dataset({**dataset, 'pipeline': []})
    config = Config.fromfile(repository_root / 'configs/ccdistill/refinenet_r101_cs2dz.py')
    for role in ('source', 'target'):
        dataset = config.train_dataloader.dataset[role]
        found[role] = build_dataset({**dataset, 'pipeline': []})
    for dataset in found.values():
        check_dataset(dataset)
    assert {name: len(dataset) for name, dataset in found.items()} == {
        'dark_zurich_val': 2,
        'acdc_night_val': 2,
        'bdd100k_night': 3,
        'night_driving': 3,
        'source': 3,
        'target': 4,
    }


def test_mistakes_end_in_one_sentence(call, tmp_path):
    code, _, err = call('acdc')
    assert code == 2 and err == (
        "error: The root 'data/acdc' does not exist: expected the files of ACDC-night there or a "
        'source; give rgb_anon_trainvaltest.zip and gt_trainval.zip or a folder.\n'
    )
    code, _, err = call('acdc', 'gone.zip')
    assert code == 2 and err == (
        "error: The archive 'gone.zip' does not exist: expected a zip or tar file; "
        'correct the path or download it.\n'
    )
    (tmp_path / 'file').write_text('x')
    code, _, err = call('acdc', 'file', '--root', 'file')
    assert code == 2 and err.startswith("error: 'file': File exists; expected to read the sources")


@pytest.mark.parametrize(
    ('arguments', 'reason'),
    [
        (('acdc', '--list', 'x'), '--list belongs to dark_zurich and bdd100k; acdc needs no list'),
        (('acdc', '--workers', '0'), '--workers must be at least 1, got 0'),
        (('acdc', '--link', '--copy'), 'not allowed with argument'),
        (('kitti',), 'invalid choice'),
    ],
)
def test_wrong_calls(call, capsys, arguments, reason):
    with pytest.raises(SystemExit) as info:
        call(*arguments)
    assert info.value.code == 2
    assert reason in capsys.readouterr().err
