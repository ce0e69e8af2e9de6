"""Which images are labelled: each night of the training list once, a folder, or a list."""

from __future__ import annotations

from pathlib import Path

import pytest
from mmengine.config import Config
from tool_project import NIGHTS, make_project

from mmseg_ccdistill.engine.pseudo_labels.night_images import (
    check_images,
    named_images,
    training_nights,
)
from mmseg_ccdistill.errors import UserInputError

NAMES = [f'{stem}_rgb_anon.png' for stem in NIGHTS]


@pytest.fixture(scope='module')
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_project(tmp_path_factory.mktemp('nights'))


@pytest.fixture(autouse=True)
def in_project(files: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(files)


def test_the_nights_of_the_list_without_the_labels_that_are_to_be_made() -> None:
    config = Config.fromfile('tiny.py')
    target = config.train_dataloader.dataset.target
    target.update(night_label_dir='gone', night_labels_of='gone.pth', indices=1)
    found = training_nights(config)
    root = Path('data/dark_zurich/rgb_anon')
    assert list(found) == NAMES
    assert [Path(path) for path in found.values()] == [root / name for name in NAMES]
    check_images(found)


def test_a_night_that_is_listed_twice_is_labelled_once(files: Path) -> None:
    (files / 'twice.csv').write_text(
        f'{NIGHTS[1]},train/day/C/C_1\n{NIGHTS[0]},train/day/C/C_1\n{NIGHTS[1]},train/day/C/C_2\n'
    )
    config = Config.fromfile('tiny.py')
    config.train_dataloader.dataset.target.ann_file = '../../twice.csv'
    assert list(training_nights(config)) == [NAMES[1], NAMES[0]]


def test_a_folder_and_a_list(files: Path) -> None:
    folder = 'data/dark_zurich/rgb_anon'
    found = named_images(f'{folder}/train/night')
    assert list(found) == [name.removeprefix('train/night/') for name in NAMES]
    Path('list.txt').write_text(f'{NAMES[2]}\n\n{NAMES[0]}\n')
    assert named_images('list.txt', folder) == {n: f'{folder}/{n}' for n in (NAMES[2], NAMES[0])}
    Path(folder, 'list.txt').write_text(f'{NAMES[1]}\n')
    assert named_images(f'{folder}/list.txt') == {NAMES[1]: f'{folder}/{NAMES[1]}'}


def test_linked_folders_are_followed_and_hidden_files_left_out(tmp_path: Path) -> None:
    night = Path('data/dark_zurich/rgb_anon/train/night').absolute()
    (tmp_path / 'drive').symlink_to(night)
    for name in ('.hidden.png', '.cache.jpg'):
        (tmp_path / name).write_bytes(b'')
    found = named_images(str(tmp_path))
    names = [f'drive/{name.removeprefix("train/night/")}' for name in NAMES]
    assert found == {name: str(tmp_path / name) for name in names}
    check_images(found)


def test_a_list_may_begin_with_a_byte_order_mark(tmp_path: Path) -> None:
    """Notepad and PowerShell write one."""
    lines = ''.join(f'{name}\r\n' for name in NAMES)
    (tmp_path / 'list.txt').write_bytes(lines.encode('utf-8-sig'))
    found = named_images(str(tmp_path / 'list.txt'), 'data/dark_zurich/rgb_anon')
    assert list(found) == NAMES
    check_images(found)


def test_mistakes_end_in_one_sentence(files: Path) -> None:
    with pytest.raises(UserInputError) as caught:
        training_nights(Config.fromfile('source.py'))
    assert str(caught.value) == (
        'train_dataloader.dataset of the config has 0 sets of day-night pairs: expected one, whose nights are '
        'labelled; take the config of an adaptation, or name the images with --images'
    )
    config = Config.fromfile('tiny.py')
    config.train_dataloader.dataset.target.data_root = 'gone'
    with pytest.raises(
        UserInputError, match=r"^train_dataloader\.dataset\.target: The data root 'gone' "
    ):
        training_nights(config)
    Path('empty').mkdir()
    Path('outside.txt').write_text('../a.png\n')
    for arguments, sentence in (
        (
            ('none.txt',),
            "--images 'none.txt' cannot be read (FileNotFoundError): expected a folder, or a text file with one image "
            'on a line; name another',
        ),
        (
            ('empty',),
            "--images 'empty' holds no image: expected files that end in .png, .jpg, .jpeg, or a list of them; name "
            'another',
        ),
        (
            ('outside.txt',),
            "--images 'outside.txt' names '../a.png': expected files below one folder; write them relative to it and "
            'name it with --image-root',
        ),
        (
            ('empty', 'data'),
            "--image-root 'data' goes with a list, and --images 'empty' is a folder: leave --image-root out",
        ),
    ):
        with pytest.raises(UserInputError) as caught:
            named_images(*arguments)
        assert str(caught.value) == sentence
    Path('broken.png').write_bytes(b'no image')
    with pytest.raises(UserInputError) as caught:
        check_images({'broken.png': 'broken.png'})
    assert str(caught.value) == (
        "The image 'broken.png' cannot be read (no image header): expected a whole PNG or JPEG image; copy or download "
        'it again.'
    )
