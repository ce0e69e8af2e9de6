import os
import re

import cv2
import numpy as np
import pytest
from layouts import LABEL_IDS, make_cityscapes, train_ids, tree_contents, write_label
from PIL import Image

from mmseg_ccdistill.curation.prepare import PreparationError, convert_label, write_train_ids
from mmseg_ccdistill.curation.prepare.cityscapes_labels import Converted

LABEL = 'gtFine/train/aachen/aachen_000001_000019_gtFine_labelIds.png'
TRAIN = LABEL.replace('labelIds', 'labelTrainIds')


@pytest.fixture
def root(tmp_path):
    return make_cityscapes(tmp_path / 'cityscapes')


def refused(root, **kwargs):
    with pytest.raises(PreparationError) as info:
        write_train_ids(str(root), **kwargs)
    return str(info.value)


def test_every_label_id_has_the_published_train_id():
    label = np.arange(34, dtype=np.uint8)[None]
    expected = [LABEL_IDS.index(value) if value in LABEL_IDS else 255 for value in range(34)]
    assert convert_label(label).tolist() == [expected]
    assert convert_label(np.full((2, 3), 255, np.uint8)).tolist() == [[255] * 3] * 2


@pytest.mark.parametrize('workers', [1, 2])
def test_labels_are_those_the_tree_was_made_from(root, workers):
    before = tree_contents(root)
    assert write_train_ids(str(root), workers=workers) == Converted(5, 0)
    made = {name: path for name, path in tree_contents(root).items() if name not in before}
    assert len(made) == 5 and all(name.endswith('_labelTrainIds.png') for name in made)
    assert {name: tree_contents(root)[name] for name in before} == before
    for name in made:
        with Image.open(root / name) as image:
            assert image.mode == 'L'
            stem = os.path.basename(name).replace('_gtFine_labelTrainIds.png', '')
            assert np.array_equal(np.asarray(image), train_ids(stem))


def test_right_labels_are_kept_untouched(root):
    write_train_ids(str(root), workers=1)
    (root / TRAIN).unlink()
    before = {path: path.stat().st_mtime_ns for path in root.rglob('*labelTrainIds.png')}
    assert write_train_ids(str(root), workers=1) == Converted(1, 4)
    assert {path: path.stat().st_mtime_ns for path in before} == before


def test_other_labels_are_reported_and_kept(root):
    mine = write_label(root / TRAIN, np.zeros((32, 64), np.uint8)).read_bytes()
    assert refused(root, workers=1) == (
        f'The label {str(root / TRAIN)!r} is not what {os.path.basename(LABEL)!r} gives: expected '
        'its trainIds; move it away and run this again.'
    )
    assert (root / TRAIN).read_bytes() == mine
    assert len(list(root.rglob('*labelTrainIds.png'))) == 5  # the others have been made


def test_files_that_are_no_label_ids(root):
    write_label(root / LABEL, np.full((32, 64), 40, np.uint8))
    assert refused(root, workers=1) == (
        f'The label {str(root / LABEL)!r} holds the value 40: expected labelIds 0..33 in one '
        'channel; unpack gtFine_trainvaltest.zip again.'
    )
    write_label(root / LABEL, np.zeros((32, 64, 3), np.uint8))
    assert 'holds an image of shape (32, 64, 3) and type uint8: expected' in refused(root)
    write_label(root / LABEL, np.zeros((32, 64), np.uint16))
    assert 'holds an image of shape (32, 64) and type uint16: expected' in refused(root)
    (root / LABEL).write_bytes(b'no picture')
    assert refused(root) == (
        f'The label {str(root / LABEL)!r} cannot be read (no image header): expected a whole PNG or JPEG '
        'image; unpack gtFine_trainvaltest.zip again.'
    )


def test_half_a_label_is_not_converted(root):
    whole = write_label(root / LABEL, np.full((320, 640), 7, np.uint8)).read_bytes()
    (root / LABEL).write_bytes(whole[: len(whole) // 2])
    assert re.fullmatch(
        rf"The label '{root / LABEL}' cannot be read \(.*\): expected a whole PNG or JPEG image; "
        r'unpack gtFine_trainvaltest\.zip again\.',
        refused(root, workers=1),
    )
    assert not (root / TRAIN).exists()


def test_no_labels_at_all(tmp_path):
    assert refused(tmp_path) == (
        f'The folder {str(tmp_path / "gtFine")!r} holds no labelIds: expected files that end in '
        "'_gtFine_labelIds.png'; unpack gtFine_trainvaltest.zip there."
    )


def test_a_write_that_fails_leaves_no_label(root, monkeypatch):
    def full(*_):
        raise OSError(28, 'No space left on device')

    monkeypatch.setattr(os, 'replace', full)
    with pytest.raises(OSError, match='No space left'):
        write_train_ids(str(root), workers=1)
    assert not [path for path in root.rglob('*') if 'labelTrainIds' in path.name]


def test_opencv_reads_what_is_written(root):
    write_train_ids(str(root), workers=1)
    label = cv2.imread(str(root / TRAIN), cv2.IMREAD_UNCHANGED)
    assert label.dtype == np.uint8 and set(np.unique(label)) <= {*range(19), 255}
