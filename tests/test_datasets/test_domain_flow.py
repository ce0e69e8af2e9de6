"""A sample holds the domains that are asked for, and no other image is decoded."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import mmcv
import pytest
from mmseg.registry import DATASETS
from tiny_data import (
    cross_config,
    make_cityscapes,
    make_dark_zurich,
    source_config,
    target_config,
)
from torch import nn

from mmseg_ccdistill.datasets import CrossDomainDataset, DatasetCheckError, Draw
from mmseg_ccdistill.datasets.domain_flow import plan_flow
from mmseg_ccdistill.datasets.transforms import LABTransfer, PackCrossDomainInputs
from mmseg_ccdistill.domains import DOMAINS
from mmseg_ccdistill.engine.domain_check import check_domains
from mmseg_ccdistill.errors import UserInputError
from mmseg_ccdistill.models.segmentors import AdaptationSegmentor


@pytest.fixture
def roots(tmp_path: Path) -> tuple[Path, Path]:
    return make_cityscapes(tmp_path / 'cityscapes'), make_dark_zurich(tmp_path / 'dark_zurich')


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Paths of the images that were read."""
    seen: list[str] = []
    read = mmcv.transforms.LoadImageFromFile.transform

    def noted(self: Any, results: dict) -> dict | None:
        seen.append(results['img_path'])
        return read(self, results)

    monkeypatch.setattr(mmcv.transforms.LoadImageFromFile, 'transform', noted)
    return seen


@pytest.mark.parametrize(
    ('domains', 'lights'),
    [
        (('source_day', 'target_night'), ['night']),
        (('source_day', 'target_day'), ['day']),
        (('source_night', 'target_night'), ['night']),
        (('source_day', 'source_night'), ['night']),  # LABTransfer reads T_n
        (('source_day',), []),
        (DOMAINS, ['day', 'night']),
    ],
)
def test_only_what_is_read_is_decoded_and_the_draw_stays(
    roots: tuple[Path, Path], decoded: list[str], domains: tuple[str, ...], lights: list[str]
) -> None:
    whole = DATASETS.build(cross_config(*roots))
    part = DATASETS.build(cross_config(*roots) | {'domains': domains})
    for number in range(4):
        expected = whole[Draw(number, number, 0)]
        decoded.clear()
        sample = part[Draw(number, number, 0)]
        assert len(decoded) == 1 + len(lights)
        assert [path.split('/rgb_anon/train/')[1].split('/')[0] for path in decoded[1:]] == lights
        assert tuple(sample['inputs']) == tuple(sample['data_samples']) == domains
        for domain in domains:
            assert sample['inputs'][domain].equal(expected['inputs'][domain]), domain


def test_one_night_image_is_a_target(roots: tuple[Path, Path]) -> None:
    """Unpaired: any unlabelled data set of images."""
    nights = dict(target_config(roots[1]), type='BaseSegDataset', ann_file='', img_suffix='.png')
    nights['data_prefix'] = dict(img_path='rgb_anon/train/night')
    nights['metainfo'] = dict(classes=())
    config = cross_config(*roots) | {'target': nights}
    assert tuple(DATASETS.build(config)[0]['inputs']) == DOMAINS[:2] + DOMAINS[3:]
    for domains in (('source_day', 'target_night'), ('source_day', 'target_day')):
        dataset = DATASETS.build(config | {'domains': domains})
        assert tuple(dataset[0]['inputs']) == domains


def test_a_target_of_its_own_domains(roots: tuple[Path, Path]) -> None:
    class Days(list):
        metainfo: dict = {}
        domains = ('target_day',)

    results = CrossDomainDataset(source_config(roots[0]), target_config(roots[1]))[0]
    dataset = CrossDomainDataset(
        source_config(roots[0]),
        Days([{'target_day': results['target_day'], 'note': 1}]),
        lazy_init=True,
        domains=('source_day', 'target_day'),
    )
    dataset.source.full_init()
    assert set(dataset[0]) == {'source_day', 'target_day'}


def test_a_missing_day_image_that_nobody_reads_is_no_fault(
    roots: tuple[Path, Path], tmp_path: Path
) -> None:
    from mmseg_ccdistill.datasets.file_check import check_dataset

    for path in (roots[1] / 'rgb_anon/train/day').rglob('*.png'):
        path.unlink()
    with pytest.raises(DatasetCheckError, match='day image'):
        check_dataset(DATASETS.build(cross_config(*roots)), str(tmp_path))
    night = DATASETS.build(cross_config(*roots) | {'domains': ('source_day', 'target_night')})
    check_dataset(night, str(tmp_path))


def test_a_transform_that_nobody_reads_does_not_run() -> None:
    lab, pack = LABTransfer(), PackCrossDomainInputs()
    needed, steps = plan_flow([lab, pack], ('source_day', 'target_night'))
    assert needed == {'source_day', 'target_night'} and [s.transform for s in steps] == [pack]
    needed, steps = plan_flow([lab, pack], ('source_night', 'target_day'))
    assert needed == {'source_day', 'target_night', 'target_day'}
    assert [s.transform for s in steps] == [lab, pack]
    assert steps[0].kept == {'source_night', 'target_day'}


@pytest.mark.parametrize(
    ('domains', 'pipeline', 'sentence'),
    [
        (
            ('source_day', 'target_dusk'),
            [],
            "domains of CrossDomainDataset is ('source_day', 'target_dusk'): expected some of ('source_day', "
            "'source_night', 'target_day', 'target_night'); name what the method reads.",
        ),
        (
            ('source_night', 'target_night'),
            [dict(type='PackCrossDomainInputs')],
            "CrossDomainDataset needs 'source_night' for domains=('source_night', 'target_night'), but the source "
            "returns ('source_day',) and the target returns ('target_day', 'target_night') and no transform of its "
            'pipeline adds it: take a dataset that returns it and names it in its attribute domains, or a transform '
            "that adds it (LABTransfer makes 'source_night'), or take it out of domains.",
        ),
    ],
)
def test_a_domain_from_nowhere_is_named(
    roots: tuple[Path, Path], domains: tuple[str, ...], pipeline: list, sentence: str
) -> None:
    config = cross_config(*roots) | {'domains': domains, 'pipeline': pipeline}
    with pytest.raises(DatasetCheckError) as caught:
        DATASETS.build(config)
    assert str(caught.value) == sentence


def test_pairs_of_other_domains_are_refused(roots: tuple[Path, Path]) -> None:
    with pytest.raises(ValueError) as caught:
        DATASETS.build(target_config(roots[1], domains=('source_day',)))
    assert str(caught.value) == (
        "domains of DarkZurichPairDataset is ('source_day',): expected some of ('target_day', 'target_night'); "
        'correct it.'
    )


def test_lab_transfer_names_what_it_lacks() -> None:
    with pytest.raises(ValueError) as caught:
        LABTransfer()({'source_day': {}})
    assert str(caught.value) == (
        "LABTransfer found ['source_day'] and no 'target_night': expected ('source_day', 'target_night'); take a "
        'dataset that returns it, or take LABTransfer out of the pipeline.'
    )


class Reader(AdaptationSegmentor):
    routes = {'source_day': 'night', 'target_day': 'night'}

    def __init__(self) -> None:
        nn.Module.__init__(self)


def test_the_method_and_its_training_set_agree_at_the_start(roots: tuple[Path, Path]) -> None:
    config = cross_config(*roots)
    check_domains(Reader(), DATASETS.build(config))
    check_domains(Reader(), SimpleNamespace())
    check_domains(nn.Identity(), DATASETS.build(config | {'domains': ('source_day',)}))
    with pytest.raises(UserInputError) as caught:
        check_domains(
            Reader(), DATASETS.build(config | {'domains': ('source_day', 'target_night')})
        )
    assert str(caught.value) == (
        "train_dataloader.dataset: its samples hold ('source_day', 'target_night') and no 'target_day', but Reader "
        "reads ('source_day', 'target_day'): add it to train_dataloader.dataset.domains, or take a source, a target "
        "or a transform (LABTransfer makes 'source_night') that returns it"
    )


def test_labels_of_the_night_that_a_method_needs_are_missed_at_the_start(
    roots: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset = DATASETS.build(cross_config(*roots))
    monkeypatch.setattr(Reader, 'missing_labels', 'no labels of T_n')
    with pytest.raises(UserInputError, match='^no labels of T_n$'):
        check_domains(Reader(), dataset)
    dataset.target.night_label_dir = 'labels'
    check_domains(Reader(), dataset)
    monkeypatch.delattr(type(dataset.target), 'night_label_dir', raising=False)
    del dataset.target.night_label_dir  # another data set: left to the first batch
    check_domains(Reader(), dataset)
