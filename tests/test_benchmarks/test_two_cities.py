"""The suite whose day frames come from two data sets."""

from __future__ import annotations

import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import torch
from layouts import make_cityscapes, make_dark_zurich
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmseg.registry import DATA_SAMPLERS, DATASETS
from PIL import Image

from benchmarks.adaptation.command import main
from benchmarks.adaptation.needs import check_roots
from benchmarks.adaptation.row_configs import root_options, row_config
from benchmarks.adaptation.suites import CONFIGS, SUITES, choose_rows
from benchmarks.gpu.config_batches import make_config_batches
from benchmarks.gpu.settings import Settings
from benchmarks.gpu.training import load_config
from mmseg_ccdistill.datasets import DatasetCheckError, class_pixels
from mmseg_ccdistill.engine.training_draws import training_dataset, training_draws
from mmseg_ccdistill.errors import UserInputError
from mmseg_ccdistill.runtime.command_line import run_main

SUITE = SUITES['two_cities']


@pytest.fixture
def roots(tmp_path: Path) -> dict[str, Path]:
    """Three frames of one city as PNG, five of another as JPEG, and pairs of a third."""
    root = tmp_path / 'data'
    make_cityscapes(root / 'cityscapes', with_train_ids=True)
    kitti = make_cityscapes(root / 'kitti', dict(train=5, val=2), (200, 60), with_train_ids=True)
    for path in list(kitti.rglob('*_leftImg8bit.png')):
        Image.open(path).convert('RGB').save(path.with_suffix('.jpg'))
        path.unlink()
    make_dark_zurich(root / 'dark_zurich', pair_list=True)
    return {name: root / name for name in ('cityscapes', 'kitti', 'dark_zurich')}


def config_of(row: str, roots: dict[str, Path], folder: Path) -> Config:
    config = Config.fromfile(row_config(SUITE, row, folder))
    config.merge_from_dict(root_options(config, roots))
    return config


def of_kitti(sample: Any) -> bool:
    packed = sample['data_samples']
    packed = packed['source_day'] if isinstance(packed, dict) else packed
    return '/kitti/' in packed.img_path


@pytest.mark.parametrize('row', ['source_only', 'full', 'plus'])
def test_draws_come_from_both_cities_and_do_not_depend_on_where_a_run_begins(
    row: str, roots: dict[str, Path], tmp_path: Path
) -> None:
    config = config_of(row, roots, tmp_path)
    config.train_dataloader.sampler.pop('rare_classes', None)
    dataset = training_dataset(config)
    assert len(dataset) == 3 + 5
    first = [sample for _, sample in training_draws(config, dataset, range(16))]
    assert Counter(map(of_kitti, first)) == {True: 10, False: 6}  # two epochs
    ((_, again),) = training_draws(config, training_dataset(config), [11])
    images = [sample['inputs'] for sample in (first[11], again)]
    if isinstance(images[0], dict):
        assert all(torch.equal(images[0][name], images[1][name]) for name in images[0])
    else:
        assert torch.equal(*images)


def test_rare_classes_are_counted_in_both_cities(roots: dict[str, Path], tmp_path: Path) -> None:
    init_default_scope('mmseg')
    config = config_of('plus', roots, tmp_path)
    config.train_dataloader.sampler.rare_classes.min_pixels = 10
    dataset = DATASETS.build(config.train_dataloader.dataset)
    assert class_pixels(dataset.source, tmp_path).shape == (8, 19)
    sampler = DATA_SAMPLERS.build(
        dict(config.train_dataloader.sampler), default_args=dict(dataset=dataset, seed=0)
    )
    draw = next(iter(sampler))
    assert of_kitti(dataset[draw]) == (draw.index >= 3)


def test_the_sets_of_a_source_stage(roots: dict[str, Path]) -> None:
    found = check_roots(SUITE, roots)
    assert (found.sets, found.day_set) == (('night',), None)
    config = Config.fromfile(str(CONFIGS / SUITE.configs['source']))
    config.merge_from_dict(root_options(config, roots))
    init_default_scope('mmseg')
    assert len(DATASETS.build(config.val_dataloader.dataset)) == 2 + 2


@pytest.mark.parametrize(
    ('missing', 'message'),
    [
        ('kitti', "data folder '.*/kitti' does not exist"),
        (
            'kitti/gtFine/train',
            "folder '.*/kitti/gtFine/train' of CityscapesDataset does not exist",
        ),
        ('cityscapes/leftImg8bit/val', "'.*/cityscapes/leftImg8bit/val' of .* does not exist"),
    ],
)
def test_a_missing_part_is_one_sentence(missing: str, message: str, roots: dict[str, Path]) -> None:
    shutil.rmtree(roots['kitti'].parent / missing)
    with pytest.raises(UserInputError, match=message) as error:
        check_roots(SUITE, roots)
    assert '\n' not in str(error.value)


def test_a_dataset_of_two_parts_names_the_folder_that_is_missing(
    roots: dict[str, Path], tmp_path: Path
) -> None:
    init_default_scope('mmseg')
    config = config_of('source_only', roots, tmp_path)
    missing = roots['kitti'] / 'leftImg8bit/train'
    shutil.rmtree(missing)
    with pytest.raises(DatasetCheckError, match=f"folder '{missing}' of CityscapesDataset"):
        DATASETS.build(config.train_dataloader.dataset)


def test_the_second_city_may_lie_elsewhere(
    roots: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    root = roots['kitti'].parent
    elsewhere = tmp_path / 'elsewhere'
    roots['kitti'].rename(elsewhere)
    options = ['--rows', 'full', '--seeds', '0', '--dry-run', '--work-dir', str(tmp_path / 'work')]
    words = ['two_cities', '--root', str(root), *options]
    assert run_main(lambda: main(words)) == 2
    assert f'{root}/kitti' in capsys.readouterr().err
    assert run_main(lambda: main([*words, '--kitti', str(elsewhere)])) == 0
    source, full, _ = [line for line in capsys.readouterr().out.splitlines() if 'options' in line]
    assert f'train_dataloader.dataset.dataset.datasets.1.data_root={elsewhere}' in source
    assert f'train_dataloader.dataset.source.datasets.0.data_root={root}/cityscapes' in full
    assert run_main(lambda: main(['two_cities', *options])) == 2
    assert 'two_cities reads day and night frames: name the folder' in capsys.readouterr().err


def test_rows() -> None:
    assert choose_rows(['headline'], SUITE) == ['source_only', 'wo_cdc_cds', 'full', 'matched']
    for group in ('oracles', 'rivals'):
        with pytest.raises(UserInputError, match=f"this suite has no row '{group}'"):
            choose_rows([group], SUITE)
    assert choose_rows(['plus', 'wo_cdc_cds_long'], SUITE) == ['plus', 'wo_cdc_cds_long']


@pytest.mark.parametrize('variant', ['', '_matched', '_plus'])
def test_the_method_is_that_of_the_pretrained_suite(variant: str) -> None:
    stem = 'ccdistill/refinenet_efficientnet-lite0_{}_day2night' + variant + '.py'
    mine, other = (
        Config.fromfile(str(CONFIGS / stem.format(data))) for data in ('two-cities', 'mini')
    )
    for part in ('model', 'optim_wrapper', 'param_scheduler', 'train_cfg', 'default_hooks'):
        assert mine[part] == other[part], part
    pipelines = [config.train_dataloader.dataset.pipeline for config in (mine, other)]
    assert pipelines[0] == pipelines[1]
    assert mine.train_dataloader.sampler == other.train_dataloader.sampler


@pytest.mark.parametrize('variant', ['', '_matched', '_plus'])
def test_stand_ins_of_its_batches_have_the_size_of_its_crops(variant: str) -> None:
    """Its source is of several sets: the time of a step is measured on frames of their one size."""
    settings = Settings(torch.device('cpu'))
    config = load_config(
        f'ccdistill/refinenet_efficientnet-lite0_two-cities_day2night{variant}.py', settings
    )
    (batch,) = make_config_batches(config, settings, 1)
    sizes = {tuple(image.shape) for part in batch['inputs'].values() for image in part}
    assert sizes == {(3, 128, 128)} and len(batch['inputs']) == 4
    source = load_config('refinenet/refinenet_efficientnet-lite0_two-cities.py', settings)
    (batch,) = make_config_batches(source, settings, 1)
    assert {tuple(image.shape) for image in batch['inputs']} == {(3, 128, 128)}
