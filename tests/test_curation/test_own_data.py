"""`ccdistill own-data`: what it finds in a folder, what it writes, and its sentences."""

from __future__ import annotations

import os
import re
import shlex
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
from mmengine.config import Config
from mmengine.registry import init_default_scope
from own_streets import CONFIGS, make_streets
from tool_project import ROOT, error_of, load_tool, run_tool

from mmseg_ccdistill.curation.own_data import colours, read_own_data, write_own_configs
from mmseg_ccdistill.datasets import DatasetCheckError, check_dataset
from mmseg_ccdistill.datasets.file_check import build_dataset

CLASSES = ['sky', 'road', 'lane marking', 'bus', 'person']


@pytest.fixture
def streets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Days and nights of five classes, without configs, pairs and labels of the nights."""
    make_streets(tmp_path)
    shutil.rmtree(tmp_path / 'configs')
    data = tmp_path / 'data/my_streets'
    (data / 'pairs.csv').unlink()
    shutil.rmtree(data / 'night/labels')
    monkeypatch.chdir(tmp_path)
    init_default_scope('mmseg')
    return data


@pytest.fixture
def own_data(monkeypatch: pytest.MonkeyPatch):
    """Runs the command with the arguments of its help, and others."""
    tool = load_tool('tools/own_data.py')
    example = re.search(r'^ +ccdistill own-data (.*)$', tool.__doc__, re.M)[1]

    def call(*words: str, arguments: str = example) -> int:
        return run_tool(tool, monkeypatch, *shlex.split(arguments), *words)

    return call


def test_the_configs_are_those_of_the_page(streets: Path, own_data, capsys) -> None:
    assert own_data() == 0
    for name, text in CONFIGS:
        written = Path('configs', name).read_text().replace(str(ROOT / 'configs'), '.')
        share = re.compile(
            r'(class_balance_weights|class_weight =).*'
        )  # of the pixels of the example
        assert share.sub('', written) == share.sub('', text)
    assert (streets / 'pairs.csv').read_text() == ''.join(
        f'night/images/{k},day/images/{k}\n' for k in range(3)
    )
    assert (
        'data/my_streets: 3 labelled days, 3 pairs, no labelled nights' in capsys.readouterr().out
    )


def test_shares_and_weights_are_those_of_the_labels(streets: Path, own_data) -> None:
    labels = [cv2.imread(str(path), 0) for path in (streets / 'day/labels').iterdir()]
    counts = np.bincount(np.concatenate([label.ravel() for label in labels]), minlength=5)
    assert own_data() == 0
    text = Path('configs/my_streets_source.py').read_text()
    shares = [float(f'{share:.3g}') for share in counts / counts.sum()]
    assert f'# class_balance_weights({shares})' in text
    log = np.log(counts / counts.sum())
    expected = 1 + 0.05 * (log.mean() - log) / log.std(ddof=1)
    found = re.search(r'^class_weight = \[(.*)\]$', text, re.M)
    assert found is not None
    np.testing.assert_allclose([float(x) for x in found[1].split(',')], expected, atol=6e-5)


def test_labelled_nights_are_measured_on(streets: Path, own_data, capsys) -> None:
    shutil.copytree(streets / 'day/labels', streets / 'night/labels')
    assert own_data('--name', 'town') == 0
    text = Path('configs/town_source.py').read_text()
    assert "data_prefix=dict(img_path='night/images', seg_map_path='night/labels')," in text
    assert 'No labelled nights' not in text
    assert "load_from = 'work_dirs/town_source/iter_600.pth'" in Path('configs/town.py').read_text()
    assert 'labelled nights to measure on' in capsys.readouterr().out


def test_nights_without_a_pair_are_counted_and_any_name_of_a_folder_is_quoted(
    streets: Path, own_data, capsys
) -> None:
    night = next((streets / 'night/images').iterdir())
    shutil.copy(night, night.with_stem('alone'))
    assert own_data() == 0
    assert ', 1 nights in no pair, which no training sees' in capsys.readouterr().out
    found = read_own_data(str(streets), CLASSES)
    assert (found.num_pairs, found.num_unpaired) == (3, 1)
    write_own_configs(found._replace(root="the driver's"), CLASSES, [], 'quoted')
    text = Path('configs/quoted_source.py').read_text()
    assert 'data_root = "the driver\'s/"' in text
    compile(text, 'quoted_source.py', 'exec')


def test_photos_that_come_later_are_told_of(streets: Path, own_data, capsys) -> None:
    assert own_data() == 0
    assert 'pairs.csv' not in capsys.readouterr().out
    for folder in ('night/images', 'day/images', 'day/labels'):
        photo = next((streets / folder).iterdir())
        shutil.copy(photo, photo.with_stem('later'))
    assert own_data('--force') == 0
    assert (
        ', 1 nights in no pair, which no training sees (1 have a day of their name that pairs.csv does not list: add '
        'them, or delete pairs.csv to pair by name anew)'
    ) in capsys.readouterr().out
    (streets / 'pairs.csv').unlink()
    assert own_data('--force') == 0
    assert ' 4 pairs, no labelled nights\n' in capsys.readouterr().out


def test_what_exists_is_kept(streets: Path, own_data, capsys) -> None:
    assert own_data() == 0
    mine = '# mine\n'
    Path('configs/my_streets.py').write_text(mine)
    (streets / 'pairs.csv').write_text('night/images/0,day/images/1\n')
    Path('configs/my_streets_source.py').unlink()
    assert own_data() == 2
    assert error_of(capsys) == (
        "'configs/my_streets.py' exists: expected a new config; choose another --name, or replace it with --force"
    )
    assert Path('configs/my_streets.py').read_text() == mine
    assert not Path('configs/my_streets_source.py').exists()
    assert own_data('--force') == 0
    assert Path('configs/my_streets.py').read_text() != mine
    assert (streets / 'pairs.csv').read_text() == 'night/images/0,day/images/1\n'


def _rename(pattern: str, new: str):
    def spoil(data: Path) -> None:
        for path in sorted(data.glob(pattern)):
            path.rename(path.parent / new.format(path.stem))

    return spoil


@pytest.mark.parametrize(
    ('spoil', 'sentence'),
    [
        (
            lambda data: shutil.rmtree(data / 'day/labels'),
            "there is no folder 'data/my_streets/day/labels': expected day/images, day/labels (PNG of the same name) "
            'and night/images, as ccdistill own-data --help shows; put the files there',
        ),
        (
            _rename('night/images/*', '{}.png'),
            "the photos of 'data/my_streets' end in .jpg, .png: expected one of .jpg, .jpeg, .png for all days and "
            'nights; rename or convert them',
        ),
        (
            _rename('*/images/*', '{}.txt'),
            "the photos of 'data/my_streets' end in none: expected one of .jpg, .jpeg, .png for all days and "
            'nights; rename or convert them',
        ),
        (
            _rename('night/images/*', 'n{}.jpg'),
            "no night of 'data/my_streets/night/images' has the name of a day, and there is no "
            "'data/my_streets/pairs.csv': expected one of both; write the list, with a line "
            'night/images/NAME,day/images/NAME for each pair',
        ),
    ],
)  # fmt: skip
def test_a_folder_that_does_not_fit_is_one_sentence(
    streets: Path, own_data, capsys, spoil, sentence: str
) -> None:
    spoil(streets)
    assert own_data() == 2
    assert error_of(capsys) == sentence
    assert not Path('configs').exists()


@pytest.mark.parametrize(
    ('arguments', 'sentence'),
    [
        (
            '--classes a b c d e f --static a',
            "the class 'f' has no pixel in 'data/my_streets/day/labels': expected each class of --classes in a label; "
            'label some, or leave the class out',
        ),
        (
            '--classes a b c d e --static f',
            "--static names 'f': expected some of --classes, a, b, c, d, e; correct it",
        ),
        (
            '--classes a a c d e --static a',
            '--classes names a, a, c, d, e: expected two names or more, each once; correct it',
        ),
        (
            '--classes a --static a',
            '--classes names a: expected two names or more, each once; correct it',
        ),
        (
            '--classes a b c d e --static a --name my/streets',
            "the name 'my/streets' of the configs: expected letters, digits, _ and - alone; name it with --name",
        ),
    ],
)  # fmt: skip
def test_wrong_arguments_are_one_sentence(
    streets: Path, own_data, capsys, arguments: str, sentence: str
) -> None:
    assert own_data(arguments=f'data/my_streets {arguments}') == 2
    assert error_of(capsys) == sentence


def test_ids_beyond_the_classes_are_one_sentence(streets: Path, own_data, capsys) -> None:
    assert own_data(arguments='data/my_streets --classes a b c d --static a') == 2
    assert re.search(
        r"labels/\d\.png' holds the values 4: expected class ids 0\.\.3", error_of(capsys)
    )


def _resize(path: Path, width: int, height: int) -> None:
    cv2.imwrite(str(path), cv2.resize(cv2.imread(str(path)), (width, height)))


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:2000])


@pytest.mark.parametrize(
    ('spoil', 'sentence'),
    [
        (
            lambda data: _resize(data / 'night/images/1.jpg', 80, 72),
            "The day image 'data/my_streets/day/images/1.jpg' has 160x144 pixels, but its image "
            "'data/my_streets/night/images/1.jpg' has 80x72: expected equal sizes; resize one of the two or take the "
            'pair out of the list.',
        ),
        (
            lambda data: _cut(data / 'night/images/1.jpg'),
            r"The file 'data/my_streets/night/images/1.jpg' cannot be read \(image file is truncated \(\d+ bytes not "
            r'processed\)\): expected a whole PNG or JPEG image; copy or download it again\.',
        ),
        (
            lambda data: (data / 'pairs.csv').write_text('night/images/0,day/images/1\nnight/a,day/b\n'),
            "The image 'data/my_streets/night/a.jpg' does not exist: expected every image of the list "
            "'data/my_streets/pairs.csv'; restore it, correct img_suffix, or take its line out of the list.",
        ),
        (
            lambda data: (data / 'pairs.csv').write_text('night/images/0,day/b\n'),
            "The day image 'data/my_streets/day/b.jpg' of the night image 'data/my_streets/night/images/0.jpg' does "
            "not exist: expected both images of every pair of the list 'data/my_streets/pairs.csv'; restore it or "
            'take the pair out.',
        ),
    ],
)  # fmt: skip
def test_pairs_that_do_not_train_are_one_sentence(
    streets: Path, own_data, capsys, spoil, sentence: str
) -> None:
    assert own_data() == 0
    adaptation = Config.fromfile('configs/my_streets.py').train_dataloader.dataset
    shutil.rmtree('configs')
    spoil(streets)
    capsys.readouterr()
    assert own_data() == 2
    said = error_of(capsys)
    assert said == sentence or re.fullmatch(sentence, said)
    assert not Path('configs').exists()
    with pytest.raises(DatasetCheckError) as training:
        check_dataset(build_dataset(adaptation))
    assert str(training.value) == said


def test_pairs_of_several_sizes_are_fine(streets: Path, own_data, capsys) -> None:
    for photo in ('day/images/1.jpg', 'night/images/1.jpg'):
        _resize(streets / photo, 80, 72)
    label = cv2.imread(str(streets / 'day/labels/1.png'), 0)
    cv2.imwrite(str(streets / 'day/labels/1.png'), label[::2, ::2])
    assert own_data() == 0
    assert ': 3 labelled days, 3 pairs, ' in capsys.readouterr().out
    adaptation = build_dataset(Config.fromfile('configs/my_streets.py').train_dataloader.dataset)
    check_dataset(adaptation)
    assert len([adaptation[k] for k in range(3)]) == 3


def test_hidden_files_are_no_photos(streets: Path, own_data, capsys) -> None:
    """macOS keeps what it knows of 0.jpg in ._0.jpg on disks of others."""
    for folder in ('day/images', 'night/images'):
        for name in ('._0.jpg', '._0.png'):
            (streets / folder / name).write_bytes(b'\0\5\x16\7')
    assert own_data() == 0
    assert ': 3 labelled days, 3 pairs, no labelled nights\n' in capsys.readouterr().out
    assert (streets / 'pairs.csv').read_text() == ''.join(
        f'night/images/{k},day/images/{k}\n' for k in range(3)
    )


def test_linked_folders_are_looked_through_as_in_training(
    streets: Path, own_data, capsys, tmp_path: Path
) -> None:
    for folder in ('day/images', 'day/labels', 'night/images'):
        away = tmp_path / 'disk' / folder
        away.parent.mkdir(parents=True, exist_ok=True)
        (streets / folder).rename(away)
        (streets / folder).mkdir()
        (streets / folder / 'town').symlink_to(away)
    assert own_data() == 0
    assert ': 3 labelled days, 3 pairs, no labelled nights\n' in capsys.readouterr().out
    assert 'night/images/town/0,day/images/town/0\n' in (streets / 'pairs.csv').read_text()


@pytest.mark.parametrize('stem', ['a,0', 'a\n0', 'a ', 'a.PNG', 'a\udcff'])
def test_a_name_that_no_list_can_hold_is_one_sentence_before_the_list_is_written(
    streets: Path, own_data, capsys, stem: str
) -> None:
    for folder in ('night/images', 'day/images', 'day/labels'):
        photo = next((streets / folder).glob('1.*'))
        photo.rename(photo.with_name(stem + photo.suffix))
    assert own_data() == 2
    assert error_of(capsys).startswith(
        f"no list of pairs can name the photo {stem + '.jpg'!r} of 'data/my_streets/night/images': expected a name "
        'without a comma, '
    )
    assert not (streets / 'pairs.csv').exists() and not Path('configs').exists()


@pytest.mark.parametrize('stem', ['a"0', 'a 0', "a'0", 'a;0', 'ä.0', ' a'])
def test_any_other_name_is_listed_and_read(streets: Path, own_data, stem: str) -> None:
    for folder in ('night/images', 'day/images', 'day/labels'):
        photo = next((streets / folder).glob('1.*'))
        photo.rename(photo.with_name(stem + photo.suffix))
    assert own_data() == 0
    assert f'night/images/{stem},day/images/{stem}\n' in (streets / 'pairs.csv').read_text()


def test_a_list_that_cannot_be_written_is_one_sentence(streets: Path, own_data, capsys) -> None:
    (streets / 'pairs.csv.unfinished').mkdir()  # stops root, too
    assert own_data() == 2
    assert re.fullmatch(
        r"nothing can be written into 'data/my_streets' \(.+\): expected a folder with the right to write; change its "
        'permissions or make room, or put pairs.csv there',
        error_of(capsys),
    )
    assert not (streets / 'pairs.csv').exists() and not Path('configs').exists()


@pytest.mark.skipif(os.getuid() == 0, reason='root may write everywhere')
def test_a_folder_without_the_right_to_write_is_one_sentence(
    streets: Path, own_data, capsys, tmp_path: Path
) -> None:
    Path('configs').mkdir(mode=0o500)
    assert own_data() == 2
    assert error_of(capsys).startswith(f"nothing can be written into '{tmp_path}/configs' (")


def test_a_file_in_place_of_the_folder_is_one_sentence(
    streets: Path, own_data, capsys, tmp_path: Path
) -> None:
    Path('configs').write_text('')
    assert own_data() == 2
    assert error_of(capsys) == (
        f"nothing can be written into '{tmp_path}/configs' (File exists): expected a folder with the right to write; "
        'start the command in another folder'
    )


def test_colours_are_of_cityscapes_for_its_names_and_differ() -> None:
    palette = colours([*CLASSES, *'abcdefgh'])
    assert palette[:2] == [[70, 130, 180], [128, 64, 128]]
    assert len({tuple(colour) for colour in palette}) == len(palette)
