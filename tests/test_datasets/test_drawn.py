"""Numbered draws: one mechanism for one dataset and for two."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from mmseg.registry import DATASETS
from tiny_data import cross_config, make_cityscapes, make_dark_zurich, source_config

from mmseg_ccdistill.datasets import CrossDomainDataset, DatasetCheckError, Draw, DrawnDataset
from mmseg_ccdistill.runtime.random_state import get_random_state, same_random_state


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return make_cityscapes(tmp_path / 'cityscapes')


def test_a_sample_follows_from_its_draw_alone(root: Path) -> None:
    dataset = DrawnDataset(source_config(root))
    before = get_random_state()
    first = dataset[Draw(1, 17, 5)]['img']
    assert same_random_state(before, get_random_state())
    np.random.seed(3)
    np.testing.assert_array_equal(dataset[Draw(1, 17, 5)]['img'], first)
    assert not np.array_equal(dataset[Draw(1, 18, 5)]['img'], first)
    assert not np.array_equal(dataset[Draw(1, 17, 6)]['img'], first)


def test_a_plain_index_takes_the_ambient_generators(root: Path) -> None:
    dataset = DrawnDataset(source_config(root))
    np.random.seed(3)
    first = dataset[1]['img']
    assert not np.array_equal(dataset[1]['img'], first)
    np.random.seed(3)
    np.testing.assert_array_equal(dataset[np.int64(1)]['img'], first)
    with pytest.raises(TypeError):
        dataset[1.0]


def test_it_knows_what_its_dataset_knows(root: Path) -> None:
    dataset = DrawnDataset(source_config(root))
    assert len(dataset) == 5 and len(dataset.metainfo['classes']) == 19
    assert dataset.get_data_info(2) == dataset.dataset.get_data_info(2)


def test_two_domains_are_drawn_by_the_same_mechanism(root: Path, tmp_path: Path) -> None:
    pair = DATASETS.build(cross_config(root, make_dark_zurich(tmp_path / 'dark_zurich')))
    assert isinstance(pair, DrawnDataset)
    for name in ('__getitem__', '__len__', 'metainfo'):
        assert getattr(CrossDomainDataset, name) is getattr(DrawnDataset, name)


@pytest.mark.parametrize('lazy', [False, True])
def test_foreign_classes_are_one_sentence_lazy_or_not(root: Path, lazy: bool) -> None:
    config = source_config(root, metainfo=dict(classes=('road', 'lane')))
    with pytest.raises(DatasetCheckError) as info:
        DrawnDataset(config, lazy_init=lazy)
    assert str(info.value).startswith(
        "metainfo of CityscapesDataset names the classes ['lane'], which its labels do not have: expected a choice "
        "of ['road', 'sidewalk',"
    )


def test_lazy_means_that_no_file_is_looked_for(tmp_path: Path) -> None:
    lazy = DrawnDataset(source_config(tmp_path / 'none'), lazy_init=True)
    with pytest.raises(DatasetCheckError, match='The data root .* does not exist'):
        lazy.full_init()
