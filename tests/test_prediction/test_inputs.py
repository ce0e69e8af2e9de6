"""What the names on the command line stand for."""

from __future__ import annotations

import os

import cv2
import numpy as np
import pytest

from mmseg_ccdistill.errors import UserInputError
from mmseg_ccdistill.prediction.inputs import find_inputs


@pytest.fixture
def tree(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in (
        'n/b/2.png',
        'n/a/1.JPG',
        'n/a/clip.MP4',
        'n/.hidden',
        'n/out/overlay/old.png',
        'm/x.png',
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text('')
    return tmp_path


def test_a_folder_with_all_below_it_but_the_outputs(tree) -> None:
    found = find_inputs(['n'], ['n/out/overlay'])
    assert found.images == ('n/a/1.JPG', 'n/b/2.png')
    assert found.videos == ('n/a/clip.MP4',)
    assert found.root == str(tree / 'n')
    assert len(found) == 3
    old = 'n/out/overlay/old.png'
    assert find_inputs([old], ['n/out/overlay']).images == (old,)  # whoever names it wants it


@pytest.mark.parametrize(
    ('names', 'images', 'root'),
    [
        (['n/a/1.JPG'], ('n/a/1.JPG',), 'n/a'),
        (['n/**/*.png'], ('n/b/2.png', 'n/out/overlay/old.png'), 'n'),
        (['n/a', 'm'], ('n/a/1.JPG', 'm/x.png'), '.'),
        (['m/x.png', 'm', 'm/*.png'], ('m/x.png',), 'm'),
    ],
)
def test_files_patterns_and_several(tree, names, images, root) -> None:
    found = find_inputs(names)
    assert found.images == images
    assert found.root == os.path.normpath(tree / root)


def test_a_number_is_a_camera_unless_it_is_a_file(tree) -> None:
    assert find_inputs(['0']).cameras == (0,)
    (tree / '1').write_text('')
    assert find_inputs(['1']).images == ('1',)


def test_files_beside_an_image_of_their_name_are_told_apart(tmp_path) -> None:
    for name in ('a.png', 'a.jpg', 'b.png', 'b/c.png', 'd.png', 'd/a.png'):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        cv2.imwrite(str(tmp_path / name), np.zeros((2, 3), np.uint8))
    for name in ('a.json', 'b.png.txt', 'd.tif', 'e.json', 'e.txt', 'f.csv'):
        (tmp_path / name).write_text('no image')
    for names in ([tmp_path], sorted(map(str, tmp_path.glob('*')))):
        found = find_inputs([*map(str, names)])
        none = {os.path.relpath(one.name, tmp_path): one.reason for one in found.no_images}
        assert none == dict.fromkeys(('a.json', 'd.tif', 'e.json', 'e.txt'), 'no image header')
        images = {os.path.relpath(path, tmp_path) for path in found.images}
        alone = {'b.png', 'b/c.png', 'b.png.txt', 'd.png', 'd/a.png', 'f.csv'}
        assert images == {'a.png', 'a.jpg', *alone}
        assert len(found) == 12


def test_nothing_is_one_sentence(tree) -> None:
    (tree / 'empty').mkdir()
    for name, what in (
        ('none.png', 'does not exist'),
        ('*.tif', 'holds no file'),
        ('empty', 'holds no file'),
    ):
        with pytest.raises(UserInputError) as caught:
            find_inputs([name])
        assert str(caught.value) == (
            f'the input {name!r} {what}: expected an image, a video, a folder or pattern of them, or the number of a '
            'camera; correct it'
        )
