"""Day-night pairs of one's own: classes by metainfo, layout by prefix and list."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from mmseg.registry import DATASETS
from tiny_data import picture, write

from mmseg_ccdistill.datasets import DarkZurichPairDataset, DatasetCheckError, check_dataset
from mmseg_ccdistill.errors import UserInputError

CLASSES = ('sky', 'road', 'lane marking', 'bus', 'person')
PALETTE = [[70, 130, 180], [128, 64, 128], [255, 255, 255], [0, 60, 100], [220, 20, 60]]
PAIRS = [('after dark/7', 'noon/7'), ('after dark/8', 'noon/7')]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Pairs in two folders of their own names below ``frames``, labelled days beside them."""
    for stem in sorted({stem for pair in PAIRS for stem in pair}):
        write(tmp_path / f'frames/{stem}.jpg', picture(len(stem)))
    (tmp_path / 'my pairs.txt').write_text(''.join(f'{n},{d}\n' for n, d in PAIRS))
    write(tmp_path / 'labelled/0.jpg', picture(0))
    write(tmp_path / 'labels/0.png', np.arange(3200, dtype=np.uint8).reshape(40, 80) % 5)
    return tmp_path


def pairs(root: Path, **kwargs: Any) -> dict:
    return dict(
        type='DayNightPairDataset',
        data_root=str(root),
        data_prefix=dict(img_path='frames'),
        ann_file='my pairs.txt',
        pipeline=[dict(type='LoadImageFromFile')],
        **kwargs,
    )


def test_prefix_list_and_suffix_make_the_layout(root: Path) -> None:
    dataset = DATASETS.build(pairs(root))
    infos = [dataset.get_data_info(i) for i in range(len(dataset))]
    assert [(info['img_path'], info['day_img_path']) for info in infos] == [
        tuple(str(root / f'frames/{stem}.jpg') for stem in pair) for pair in PAIRS
    ]
    sample = dataset[1]
    np.testing.assert_array_equal(
        sample['target_night']['img'], cv2.imread(str(root / 'frames/after dark/8.jpg'))
    )
    check_dataset(dataset, str(root))


def test_without_a_prefix_stems_are_relative_to_the_root(root: Path) -> None:
    (root / 'pairs.csv').write_text('frames/after dark/7,frames/noon/7\n')
    config = dict(pairs(root), ann_file='pairs.csv')
    del config['data_prefix']
    info = DATASETS.build(config).get_data_info(0)
    assert info['day_img_path'] == str(root / 'frames/noon/7.jpg')


@pytest.mark.parametrize('named', [False, True])
def test_own_classes_come_from_the_metainfo_or_from_the_source(root: Path, named: bool) -> None:
    metainfo = dict(classes=CLASSES, palette=PALETTE)
    dataset = DATASETS.build(
        dict(
            type='CrossDomainDataset',
            source=dict(
                type='BaseSegDataset',
                data_root=str(root),
                data_prefix=dict(img_path='labelled', seg_map_path='labels'),
                metainfo=metainfo,
                pipeline=[dict(type='LoadImageFromFile'), dict(type='LoadAnnotations')],
            ),
            target=pairs(root, **(dict(metainfo=metainfo) if named else {})),
            pipeline=[dict(type='LABTransfer'), dict(type='PackCrossDomainInputs')],
        )
    )
    assert dataset.metainfo['classes'] == CLASSES
    assert dataset.target.metainfo['classes'] == (CLASSES if named else ())
    sample = dataset[0]
    assert list(sample['inputs']) == ['source_day', 'source_night', 'target_day', 'target_night']
    assert sample['data_samples']['source_night'].gt_sem_seg.data.unique().tolist() == [
        0,
        1,
        2,
        3,
        4,
    ]


def test_the_list_must_be_named(root: Path) -> None:
    config = pairs(root)
    del config['ann_file']
    with pytest.raises(UserInputError) as info:
        DATASETS.build(config)
    assert str(info.value) == (
        'ann_file of DayNightPairDataset is not set: expected the list of its pairs, a CSV file of night,day '
        'stems; set ann_file.'
    )


@pytest.mark.parametrize('kind', ['DayNightPairDataset', 'DarkZurichPairDataset'])
def test_folders_that_nothing_reads_are_refused(root: Path, kind: str) -> None:
    prefix = dict(img_path='frames', seg_map_path='labels')
    with pytest.raises(UserInputError) as info:
        DATASETS.build(dict(pairs(root), type=kind, data_prefix=prefix))
    assert str(info.value) == (
        f"data_prefix of {kind} names 'seg_map_path': expected 'img_path' alone, because pairs have no labels and "
        'one folder for both images; take it out.'
    )
    DATASETS.build(
        dict(pairs(root), data_prefix=dict(prefix, seg_map_path=''))
    )  # as mmseg's default


def test_a_missing_list_does_not_speak_of_dark_zurich(root: Path) -> None:
    with pytest.raises(DatasetCheckError) as info:
        DATASETS.build(dict(pairs(root), ann_file='none.csv'))
    assert str(info.value) == (
        f'The list {str(root / "none.csv")!r} of DayNightPairDataset does not exist: expected the file names of the '
        'split; put the list there or set ann_file.'
    )


def test_dark_zurich_is_the_same_with_its_own_layout(root: Path) -> None:
    lazy = DarkZurichPairDataset(data_root='dz', lazy_init=True)
    assert (lazy.ann_file, lazy.img_suffix, lazy.data_prefix) == (
        'dz/lists/zurich_dn_pair_train.csv',
        '_rgb_anon.png',
        dict(img_path='dz/rgb_anon'),
    )
    own = DATASETS.build(dict(pairs(root), type='DarkZurichPairDataset', img_suffix='.jpg'))
    assert own.load_data_list() == DATASETS.build(pairs(root)).load_data_list()
