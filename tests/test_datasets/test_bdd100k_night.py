"""BDD100K-night in the old and the new layout."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path

import numpy as np
import pytest
from layouts import BDD_NIGHT, bdd100k_night_list, make_bdd100k, train_ids
from mmseg.registry import DATASETS

from mmseg_ccdistill.datasets import DatasetCheckError, check_dataset, read_bdd100k_night_list

LIST = 'lists/bdd100k_night.txt'
LOADING = [dict(type='LoadImageFromFile'), dict(type='LoadAnnotations')]


def write_list(root: Path) -> None:
    (root / 'lists').mkdir()
    (root / LIST).write_text(bdd100k_night_list())


@pytest.fixture(params=['new', 'old'])
def root(request, tmp_path) -> Path:
    folder = make_bdd100k(tmp_path / request.param, request.param)
    write_list(folder)
    return folder


@pytest.fixture(scope='session')
def published(real_data) -> Path:
    return real_data.parent / 'lists'


def build(root: Path, **kwargs: object):
    return DATASETS.build(dict(type='BDD100KNightDataset', data_root=str(root), **kwargs))


def test_the_listed_images_of_both_splits_with_their_masks(root) -> None:
    dataset = build(root, pipeline=LOADING)
    assert dataset.layout == root.name
    assert len(dataset) == len(BDD_NIGHT) == 3  # two further images are on disk
    for sample, stem in zip(dataset, BDD_NIGHT, strict=True):
        assert Path(sample['img_path']).with_suffix('').as_posix().endswith(stem)
        np.testing.assert_array_equal(sample['gt_seg_map'], train_ids(stem))
    check_dataset(dataset, str(root))


def test_the_layout_can_be_named(root) -> None:
    assert len(build(root, layout=root.name)) == 3
    other = dict(new='old', old='new')[root.name]
    with pytest.raises(DatasetCheckError, match=f'found the {root.name} layout; correct data_root'):
        build(root, layout=other)


def test_both_layouts_in_one_root_read_the_new_one(tmp_path) -> None:
    root = make_bdd100k(make_bdd100k(tmp_path, 'old'), 'new')
    write_list(root)
    assert '/images/10k/' in build(root).get_data_info(0)['img_path']


def test_the_published_list_gives_74_train_and_13_val_images(published) -> None:
    """Counts and digest of the list that MGCDA and Refign distribute."""
    path = published / 'bdd100k_night_images.txt'
    assert hashlib.md5(path.read_bytes()).hexdigest() == '59c2e1b2fccd2636058609dad9d17fe7'
    stems = read_bdd100k_night_list(str(path))
    assert len(stems) == len(set(stems)) == 87
    assert sum(stem.startswith('train/') for stem in stems) == 74
    assert stems[0] == 'train/00aad4a0-ee8135fe' and stems[-1] == 'val/a5fa7888-00000000'
    assert read_bdd100k_night_list(str(published / 'bdd100k_night_gt.txt')) == stems


def test_every_spelling_of_a_line_is_the_same_image(tmp_path) -> None:
    stem = 'train/00aad4a0-ee8135fe'
    path = tmp_path / 'list.txt'
    for line in (
        stem,
        f'{stem}.jpg',
        f'seg/images/{stem}.jpg',
        f'seg/labels/{stem}_train_id.png',
        f'images/10k/{stem}.jpg',
        f'bdd100k/images/10k/{stem}.jpg',
        f'labels/sem_seg/masks/{stem}.png',
    ):
        path.write_bytes(f'\ufeff{line} \r\n\r\n'.encode())
        assert read_bdd100k_night_list(str(path)) == [stem]


@pytest.mark.parametrize(
    ('text', 'message'),
    [
        (
            'train/00aad4a0-ee8135fe\nfoo.jpg\n',
            "Line 2 .*list.txt' is 'foo.jpg': expected an image",
        ),
        ('test/00aad4a0-ee8135fe\n', "Line 1 .* is 'test/"),
        (
            'train/00aad4a0-ee8135fe\n\nseg/images/train/00aad4a0-ee8135fe.jpg\n',
            "Line 3 .* names 'train/00aad4a0-ee8135fe' again after line 1",
        ),
    ],
)
def test_a_bad_line_is_named(tmp_path, text, message) -> None:
    path = tmp_path / 'list.txt'
    path.write_text(text)
    with pytest.raises(DatasetCheckError, match=message):
        read_bdd100k_night_list(str(path))


def test_a_missing_or_binary_list_says_where_it_comes_from(root) -> None:
    (root / LIST).unlink()
    with pytest.raises(DatasetCheckError, match='list .*does not exist.*MGCDA and Refign'):
        build(root)
    (root / LIST).write_bytes(b'\xff\xfe\xfa')
    with pytest.raises(DatasetCheckError, match='is no text'):
        build(root)


def test_missing_masks_are_named_with_what_lies_there(root) -> None:
    masks = {'new': 'labels/sem_seg/masks', 'old': 'seg/labels'}[root.name]
    colours = {'new': 'colormaps', 'old': 'color_labels, images'}[root.name]
    shutil.rmtree(root / masks)
    with pytest.raises(DatasetCheckError, match=f'{masks}.*do not exist.*found only {colours}'):
        build(root)


def test_colour_maps_are_refused(root) -> None:
    folder = {'new': 'labels/sem_seg/colormaps', 'old': 'seg/color_labels'}[root.name]
    images = {'new': 'images/10k', 'old': 'seg/images'}[root.name]
    with pytest.raises(DatasetCheckError, match='holds colours: expected class ids'):
        build(root, data_prefix=dict(img_path=images, seg_map_path=folder))


def test_colours_in_the_place_of_masks_are_found_by_the_check(tmp_path) -> None:
    root = make_bdd100k(tmp_path)
    write_list(root)
    shutil.rmtree(root / 'labels/sem_seg/masks')
    (root / 'labels/sem_seg/colormaps').rename(root / 'labels/sem_seg/masks')
    with pytest.raises(DatasetCheckError, match='is a colour image'):
        check_dataset(build(root), str(tmp_path))


def test_only_one_split_on_disk_is_named_by_the_check(root) -> None:
    masks = {'new': 'labels/sem_seg/masks', 'old': 'seg/labels'}[root.name]
    shutil.rmtree(root / masks / 'train')
    with pytest.raises(DatasetCheckError, match=r"label '.*train/00aad4a0.*1 more of this kind"):
        check_dataset(build(root), str(root))


def test_other_mistakes(tmp_path) -> None:
    with pytest.raises(DatasetCheckError, match='data root .*none.* does not exist'):
        build(tmp_path / 'none')
    with pytest.raises(DatasetCheckError, match="'images/10k' .*or 'seg/images'.*found neither"):
        build(tmp_path)
    with pytest.raises(ValueError, match="layout='newest'"):
        build(tmp_path, layout='newest')
    assert build(tmp_path / 'none', lazy_init=True).layout == 'new'  # nothing is looked at yet
