from __future__ import annotations

import re
from pathlib import Path

import cv2
import numpy as np
import pytest

from mmseg_ccdistill.datasets.transforms import style_folder
from mmseg_ccdistill.datasets.transforms.style_folder import StyleFolder
from mmseg_ccdistill.errors import UserInputError


def grey(path: Path, level: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), np.full((4, 6, 3), level, np.uint8))


def mean(image: np.ndarray) -> float:
    return float(image.mean())


def test_images_of_all_endings_and_sub_folders_in_the_order_of_their_names(tmp_path: Path) -> None:
    for name, level in (('b/2.png', 20), ('a/9.png', 10), ('c.jpeg', 30), ('.hidden.png', 40)):
        grey(tmp_path / name, level)
    (tmp_path / 'notes.txt').write_text('none')
    folder = StyleFolder(str(tmp_path), ('.jpeg', '.png'), mean, 'R', 'a or b')
    assert [folder.style(number) for number in range(len(folder))] == [10, 20, 30]
    assert len(StyleFolder(str(tmp_path), '.jpeg', mean, 'R', 'a or b')) == 1


def test_a_file_is_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    grey(tmp_path / '0.png', 5)
    folder = StyleFolder(str(tmp_path), '.png', mean, 'R', 'a or b')
    assert len(folder) == 1 and folder.style(0) == 5
    monkeypatch.setattr(cv2, 'imdecode', None)
    assert folder.style(0) == 5


def test_nothing_there_and_a_broken_image_are_one_sentence(tmp_path: Path) -> None:
    folder = StyleFolder(str(tmp_path), ('.jpg', '.png'), mean, 'Reader', 'one or the_other')
    sentence = (
        f"Reader found no image that ends in ('.jpg', '.png') in the folder {str(tmp_path)!r}: expected the images "
        'whose light the source takes on; correct one or the_other.'
    )
    with pytest.raises(UserInputError, match=f'^{re.escape(sentence)}$'):
        folder.check_files()


@pytest.mark.parametrize('kind', ['no image', 'empty', 'cut', 'gone'])
@pytest.mark.parametrize('name', ['1.png', '1.jpg'])
def test_a_broken_image_is_named_at_the_start(name: str, kind: str, tmp_path: Path) -> None:
    """And while the run is under way, as soon as it is drawn."""
    noise = np.random.RandomState(0).randint(0, 256, (40, 60, 3)).astype(np.uint8)
    grey(tmp_path / '0.png', 5)
    path = tmp_path / name
    cv2.imwrite(str(path), noise)
    whole = StyleFolder(str(tmp_path), ('.jpg', '.png'), mean, 'R', 'a or b')
    assert len(whole) == 2
    content = {'no image': b'none', 'empty': b'', 'cut': path.read_bytes()[:-900], 'gone': b''}
    path.write_bytes(content[kind])
    if kind == 'gone':
        path.unlink()
        path.symlink_to('nowhere')
    sentence = re.compile(
        f'The style image {re.escape(repr(str(path)))} cannot be read .*: expected a whole PNG or JPEG image; copy or '
        'download it again, or take it out of the folder.'
    )
    folder = StyleFolder(str(tmp_path), ('.jpg', '.png'), mean, 'R', 'a or b')
    for look in (folder.check_files, folder.check_files, lambda: len(folder)):
        with pytest.raises(UserInputError) as caught:
            look()
        assert sentence.fullmatch(str(caught.value))
    if (name, kind) != ('1.jpg', 'cut') or cv2.__version__ >= '5':
        with pytest.raises(UserInputError) as caught:
            whole.style(1)
        assert sentence.fullmatch(str(caught.value))
    assert whole.style(0) == 5


def test_the_files_are_looked_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    grey(tmp_path / '0.png', 5)
    folder = StyleFolder(str(tmp_path), '.png', mean, 'R', 'a or b')
    folder.check_files()
    monkeypatch.setattr(style_folder, 'read_facts', None)
    folder.check_files()
    assert len(folder) == 1 and folder.style(0) == 5
