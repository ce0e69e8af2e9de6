"""Night frames of ACDC and Dark Zurich, on trees in the published layouts."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pytest
from layouts import ACDC_NIGHT, DZ_TEST, DZ_VAL, make_acdc, make_dark_zurich, train_ids, write_image
from mmseg.datasets import CityscapesDataset
from mmseg.registry import DATASETS

from mmseg_ccdistill.datasets import DatasetCheckError, check_dataset

LOADING = [dict(type='LoadImageFromFile'), dict(type='LoadAnnotations')]


def build(root: Path, kind: str = 'ACDCNightDataset', **kwargs: object):
    return DATASETS.build(dict(type=kind, data_root=str(root), **kwargs))


def stems(dataset) -> list[str]:
    names = [Path(dataset.get_data_info(i)['img_path']) for i in range(len(dataset))]
    return [f'{path.parent.name}/{path.name[: -len("_rgb_anon.png")]}' for path in names]


@pytest.fixture(scope='module')
def acdc(tmp_path_factory) -> Path:
    return make_acdc(tmp_path_factory.mktemp('acdc'), conditions=('night', 'fog', 'rain', 'snow'))


@pytest.fixture(scope='module')
def dark_zurich(tmp_path_factory) -> Path:
    return make_dark_zurich(tmp_path_factory.mktemp('dark_zurich'))


@pytest.mark.parametrize('split', ['train', 'val'])
def test_acdc_lists_the_labelled_night_frames_and_nothing_else(acdc, split) -> None:
    dataset = build(acdc, split=split, pipeline=LOADING)
    assert stems(dataset) == sorted(ACDC_NIGHT[split])
    for sample, stem in zip(dataset, stems(dataset), strict=True):
        np.testing.assert_array_equal(sample['gt_seg_map'], train_ids(stem))
    assert dataset.metainfo['classes'] == CityscapesDataset.METAINFO['classes']
    assert dataset.metainfo['palette'] == CityscapesDataset.METAINFO['palette']


def test_acdc_test_has_no_labels(acdc) -> None:
    dataset = build(acdc, split='test')
    assert stems(dataset) == sorted(ACDC_NIGHT['test'])
    assert 'seg_map_path' not in dataset.get_data_info(0)


def test_dark_zurich_val_is_labelled_and_test_is_not(dark_zurich) -> None:
    val = build(dark_zurich, 'DarkZurichNightDataset', pipeline=LOADING)
    assert stems(val) == sorted(DZ_VAL)
    np.testing.assert_array_equal(val[0]['gt_seg_map'], train_ids(DZ_VAL[0]))
    test = build(dark_zurich, 'DarkZurichNightDataset', split='test')
    assert stems(test) == sorted(DZ_TEST)
    assert 'seg_map_path' not in test.get_data_info(0)


def test_a_wide_folder_does_not_let_references_in(acdc, caplog) -> None:
    """Every reference below rgb_anon/night, even one whose name ends like a night frame."""
    write_image(acdc / 'rgb_anon/night/val_ref/GOPR0356/GOPR0356_frame_000999_rgb_anon.png')
    with caplog.at_level(logging.WARNING):
        dataset = build(acdc, data_prefix=dict(img_path='rgb_anon/night'))
    assert sorted(stems(dataset)) == sorted(stem for split in ACDC_NIGHT.values() for stem in split)
    dataset = build(acdc, data_prefix=dict(img_path=str(acdc / 'rgb_anon/night')))
    assert not [stem for stem in stems(dataset) if '000999' in stem]


def test_day_references_beside_night_frames_are_left_out(tmp_path) -> None:
    root = make_dark_zurich(tmp_path)
    night = root / 'rgb_anon/val/night/GOPR0356'
    write_image(night / 'GOPR0356_frame_000321_ref_rgb_anon.png')
    assert stems(build(root, 'DarkZurichNightDataset')) == sorted(DZ_VAL)


@pytest.mark.parametrize(
    ('kind', 'found'), [('DarkZurichNightDataset', 'day|twilight'), ('ACDCNightDataset', 'fog')]
)
def test_other_lights_and_weathers_are_an_error(acdc, dark_zurich, kind, found) -> None:
    root = acdc if kind == 'ACDCNightDataset' else dark_zurich
    with pytest.raises(DatasetCheckError, match=f"a frame of '({found})': expected night frames"):
        build(root, kind, data_prefix=dict(img_path='rgb_anon'))


def test_a_root_whose_own_path_names_a_light_is_no_error(tmp_path) -> None:
    root = make_acdc(tmp_path / 'day' / 'fog' / 'val_ref')
    assert stems(build(root)) == sorted(ACDC_NIGHT['val'])
    absolute = dict(img_path=str(root / 'rgb_anon/night/val'))
    assert len(DATASETS.build(dict(type='ACDCNightDataset', data_prefix=absolute))) == 2


def test_mistakes_are_one_sentence(acdc, tmp_path) -> None:
    with pytest.raises(DatasetCheckError, match=r"root '.*none' of ACDCNightDataset .* holds"):
        build(tmp_path / 'none')
    with pytest.raises(ValueError, match="split='dev' of ACDCNightDataset: expected 'train'"):
        build(acdc, split='dev')
    build(tmp_path / 'none', lazy_init=True)  # nothing is looked at yet


def test_a_flattened_or_unlabelled_tree_names_the_missing_folder(tmp_path) -> None:
    root = make_acdc(tmp_path)
    (root / 'gt').rename(root / 'labels')
    with pytest.raises(DatasetCheckError, match=r"folder '.*gt/night/val' .*'seg_map_path'"):
        build(root)


def test_a_missing_mask_or_a_colour_label_is_named_by_the_check(tmp_path) -> None:
    root = make_acdc(tmp_path / 'a')
    label = next((root / 'gt/night/val').rglob('*_gt_labelTrainIds.png'))
    content = label.read_bytes()
    label.unlink()
    with pytest.raises(DatasetCheckError, match=f"label '.*{label.name}' .* does not exist"):
        check_dataset(build(root), str(tmp_path))
    colour = label.with_name(label.name.replace('labelTrainIds', 'labelColor'))
    label.write_bytes(colour.read_bytes())
    with pytest.raises(DatasetCheckError, match=f"label '.*{label.name}' is a colour image"):
        check_dataset(build(root), str(tmp_path))
    label.write_bytes(content)
    check_dataset(build(root), str(tmp_path))
