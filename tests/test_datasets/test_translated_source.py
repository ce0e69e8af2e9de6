"""S_n from a folder of ready translations."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from mmseg.registry import DATASETS
from tiny_data import (
    make_cityscapes,
    make_dark_zurich,
    picture,
    source_config,
    target_config,
    write,
)

from mmseg_ccdistill.datasets import DatasetCheckError, Draw, check_dataset
from mmseg_ccdistill.datasets.unreadable import BadSampleError
from mmseg_ccdistill.errors import UserInputError

NIGHT = 'leftImg8bit_night/train'
FIRST = 'ulm/ulm_000000_000019_leftImg8bit.png'


@pytest.fixture
def cityscapes(tmp_path: Path) -> Path:
    """Five labelled day images, and of each a night image that is its negative."""
    root = make_cityscapes(tmp_path / 'cityscapes')
    for index in range(5):
        write(root / NIGHT / FIRST.replace('000000', f'{index:06d}'), 255 - picture(index))
    return root


def translated(root: Path, **changes: Any) -> dict[str, Any]:
    config = source_config(root, type='TranslatedCityscapesDataset')
    config['data_prefix']['night_path'] = NIGHT
    return {**config, **changes}


def crossed(root: Path, tmp_path: Path, **changes: Any) -> dict[str, Any]:
    return dict(
        type='CrossDomainDataset',
        source=translated(root),
        target=target_config(make_dark_zurich(tmp_path / 'dark_zurich')),
        pipeline=[dict(type='PackCrossDomainInputs')],
        **changes,
    )


def test_a_sample_has_the_translation_with_crop_flip_and_label_of_the_day(
    cityscapes: Path, tmp_path: Path
) -> None:
    dataset = DATASETS.build(crossed(cityscapes, tmp_path))
    plain = {**crossed(cityscapes, tmp_path), 'source': source_config(cityscapes)}
    without = DATASETS.build({**plain, 'pipeline': [dict(type='LABTransfer'), *plain['pipeline']]})
    for number in range(6):
        sample, other = (data[Draw(number % 5, number, 0)] for data in (dataset, without))
        day, night = (sample['inputs'][name] for name in ('source_day', 'source_night'))
        assert (day.int() + night.int() - 255).abs().max() <= 1  # resized apart, rounded
        labels = [sample['data_samples'][f'source_{light}'] for light in ('day', 'night')]
        assert torch.equal(labels[0].gt_sem_seg.data, labels[1].gt_sem_seg.data)
        assert NIGHT in labels[1].metainfo['img_path']
        for name in ('source_day', 'target_day', 'target_night'):  # no other draw than without it
            assert torch.equal(sample['inputs'][name], other['inputs'][name])


def test_only_what_is_wanted_is_opened(cityscapes: Path, tmp_path: Path) -> None:
    dataset = DATASETS.build(
        crossed(cityscapes, tmp_path, domains=('source_night', 'target_night'))
    )
    before = dataset[Draw(0, 3, 0)]
    assert set(before['inputs']) == {'source_night', 'target_night'}
    assert 'gt_sem_seg' in before['data_samples']['source_night']
    write(cityscapes / 'leftImg8bit/train' / FIRST, np.zeros((40, 80, 3), np.uint8))
    assert torch.equal(
        dataset[Draw(0, 3, 0)]['inputs']['source_night'], before['inputs']['source_night']
    )


def test_another_suffix_and_own_classes(cityscapes: Path) -> None:
    folder = cityscapes / NIGHT / 'ulm'
    for path in list(folder.iterdir()):
        path.rename(folder / path.name.replace('_leftImg8bit.png', '_fake.png'))
    config = translated(
        cityscapes,
        type='TranslatedDataset',
        night_suffix='_fake.png',
        img_suffix='_leftImg8bit.png',
        seg_map_suffix='_gtFine_labelTrainIds.png',
        metainfo=dict(classes=[f'c{k}' for k in range(19)], palette=[[k, k, k] for k in range(19)]),
    )
    dataset = DATASETS.build(config)
    check_dataset(dataset)
    assert dataset.get_data_info(2)['night_img_path'].endswith('ulm_000002_000019_fake.png')
    assert set(dataset[2]) == {'source_day', 'source_night'}


def test_a_missing_translation_is_named_at_the_start(cityscapes: Path) -> None:
    (cityscapes / NIGHT / FIRST).unlink()
    with pytest.raises(DatasetCheckError) as error:
        check_dataset(DATASETS.build(translated(cityscapes)))
    assert str(error.value) == (
        f'The night translation {str(cityscapes / NIGHT / FIRST)!r} of the image '
        f'{str(cityscapes / "leftImg8bit/train" / FIRST)!r} does not exist: expected one for every image, of the same '
        "name below data_prefix['night_path']; make it, or correct night_suffix."
    )


def test_a_translation_of_another_size_is_named_at_the_start(cityscapes: Path) -> None:
    write(cityscapes / NIGHT / FIRST, picture(0, (20, 40)))
    with pytest.raises(
        DatasetCheckError, match='has 40x20 pixels, but its image .* has 80x40.*make it anew'
    ):
        check_dataset(DATASETS.build(translated(cityscapes)))


def test_an_unreadable_translation_is_named_in_training(cityscapes: Path, tmp_path: Path) -> None:
    for path in (cityscapes / NIGHT / 'ulm').iterdir():
        path.write_bytes(b'no picture')
    with pytest.raises(BadSampleError, match=NIGHT):
        DATASETS.build(crossed(cityscapes, tmp_path))[Draw(0, 0, 0)]


def test_a_missing_folder_is_named_at_the_start(cityscapes: Path) -> None:
    shutil.rmtree(cityscapes / NIGHT)
    with pytest.raises(
        DatasetCheckError, match=f"{NIGHT}' of TranslatedCityscapesDataset does not exist"
    ):
        DATASETS.build(translated(cityscapes))


def test_two_makers_of_one_domain_are_refused(cityscapes: Path, tmp_path: Path) -> None:
    config = crossed(cityscapes, tmp_path)
    config['pipeline'].insert(0, dict(type='LABTransfer'))
    with pytest.raises(DatasetCheckError) as error:
        DATASETS.build(config)
    assert str(error.value) == (
        "LABTransfer makes 'source_night', which the source returns already: expected one of the two; take LABTransfer "
        'out of the pipeline of CrossDomainDataset.'
    )


@pytest.mark.parametrize(
    ('changes', 'message'),
    [
        (dict(data_prefix=dict(img_path='x', seg_map_path='y')), 'names no night_path: expected'),
        (dict(domains=('target_night',)), r"is \('target_night',\): expected some of"),
        (dict(domains='source_day'), "is 'source_day': expected some of"),
    ],
)
def test_wrong_settings(changes: dict[str, Any], message: str, cityscapes: Path) -> None:
    with pytest.raises(UserInputError, match=message):
        DATASETS.build(translated(cityscapes, **changes))
