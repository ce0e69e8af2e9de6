"""The oracles of the adaptation suite: which labels they read, and that they train."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from mmengine.registry import init_default_scope
from mmseg.registry import MODELS
from PIL import Image
from torch.nn import functional as F

from benchmarks.adaptation.oracle_labels import LabelledPairs, only
from benchmarks.adaptation.row_configs import root_options, row_config
from benchmarks.adaptation.rows import ORACLES, ROWS
from benchmarks.adaptation.suites import SUITES
from benchmarks.gpu.config_batches import make_config_batches
from benchmarks.gpu.settings import make_settings
from mmseg_ccdistill.engine.training_draws import training_dataset, training_draws
from mmseg_ccdistill.errors import UserInputError
from mmseg_ccdistill.mini_night import write_mini_night

NIGHT_SOURCE = 'cityscapes/leftImg8bit_night/train'
ORACLE_ROWS = [name for name, row in ROWS.items() if row.group == 'oracles']


@pytest.fixture(scope='module')
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny world; in the folder of the night renderings lie darkened copies."""
    root = write_mini_night(
        tmp_path_factory.mktemp('world'),
        workers=1,
        num_source_train=2,
        num_source_val=1,
        num_pairs=2,
        num_target_val=1,
    )
    days = root / 'cityscapes/leftImg8bit/train'
    shutil.copytree(days, root / NIGHT_SOURCE)
    for path in (root / NIGHT_SOURCE).rglob('*.png'):
        Image.fromarray(np.asarray(Image.open(path)) // 4).save(path)
    return root


def config_of(name: str, world: Path, folder: Path) -> Config:
    config = Config.fromfile(row_config(SUITES['mini'], name, folder))
    roots = {part: world / part for part in ('cityscapes', 'dark_zurich')}
    config.merge_from_dict(root_options(config, roots))
    return config


def batch_of(config: Config) -> dict[str, Any]:
    draws = training_draws(config, training_dataset(config), range(2))
    return pseudo_collate([sample for _, sample in draws])


def test_there_is_each_oracle_on_both_bases() -> None:
    assert ORACLE_ROWS == [
        f'oracle_{name}{ending}' for ending in ('', '_matched') for name in ORACLES
    ]
    for name in ORACLE_ROWS:
        assert ROWS[name].title.startswith('oracle: ')


@pytest.mark.parametrize('suite', ['mini', 'pretrained'])
@pytest.mark.parametrize('name', ORACLE_ROWS)
def test_an_oracle_changes_nothing_but_where_labels_come_from(
    suite: str, name: str, tmp_path: Path
) -> None:
    base = Config.fromfile(row_config(SUITES[suite], str(ROWS[name].base), tmp_path))
    config = Config.fromfile(row_config(SUITES[suite], name, tmp_path))
    for part in ('optim_wrapper', 'val_dataloader', 'test_dataloader', 'param_scheduler'):
        assert config[part] == base[part]
    kinds = {'day': 'DayLabelOracle', 'dynamic': 'DynamicLabelOracle'}
    kind = kinds.get(name.split('_')[1], 'CCDistillSegmentor')
    assert config.model == {**base.model, 'type': kind}
    is_matched = name.endswith('_matched')
    assert (config.model.loss_cdc is not None) == is_matched


@pytest.mark.parametrize('name', ORACLE_ROWS)
def test_an_oracle_trains(name: str, world: Path, tmp_path: Path) -> None:
    init_default_scope('mmseg')
    config = config_of(name, world, tmp_path)
    model = MODELS.build(config.model)
    data = model.data_preprocessor(batch_of(config), True)
    losses = model(data['inputs'], data['data_samples'], mode='loss')
    total, _ = model.parse_losses(losses)
    for key in [key for key in losses if 'loss' in key]:
        teaches = model.day if key.startswith('source_day') else model.night
        weights = list(teaches.backbone.parameters())
        grads = torch.autograd.grad(losses[key], weights, retain_graph=True, allow_unused=True)
        assert any(grad is not None and grad.any() for grad in grads), key
    total.backward()
    assert torch.isfinite(total)
    assert ('target_night.loss_dynamic' in losses) == ('dynamic' in name)
    samples = data['data_samples']
    assert ('gt_sem_seg' in samples['target_night'][0]) == ('style' not in name)
    assert (NIGHT_SOURCE in samples['source_night'][0].img_path) == ('style' in name)


def test_labels_have_the_crop_and_flip_of_their_image(world: Path, tmp_path: Path) -> None:
    """At night and by day each label is its own: the day's street has other cars."""
    target = config_of('oracle_day', world, tmp_path).train_dataloader.dataset.target.to_dict()
    kind = target.pop('type')
    assert kind == 'LabelledPairs'
    target['pipeline'] = [dict(type='LoadImageFromFile')]
    dataset = LabelledPairs(**target)
    sample = dataset[0]
    for name, light in (('target_day', 'day'), ('target_night', 'night')):
        path = Path(dataset.label_of(sample[name]['img_path']))
        assert path.is_relative_to(world / f'dark_zurich/gt/train/{light}')
        assert np.array_equal(sample[name]['gt_seg_map'], np.asarray(Image.open(path)))
    assert not np.array_equal(
        sample['target_day']['gt_seg_map'], sample['target_night']['gt_seg_map']
    )


@pytest.mark.parametrize('name', ORACLE_ROWS)
def test_a_step_of_an_oracle_can_be_timed(name: str, tmp_path: Path) -> None:
    """The frames that stand in for its files have the labels that it reads."""
    init_default_scope('mmseg')
    config = Config.fromfile(row_config(SUITES['mini'], name, tmp_path))
    (batch,) = make_config_batches(config, make_settings(tiny=True), 1)
    model = MODELS.build(config.model)
    data = model.data_preprocessor(batch, True)
    total, _ = model.parse_losses(model(data['inputs'], data['data_samples'], mode='loss'))
    assert torch.isfinite(total)


def test_a_missing_label_is_one_sentence(world: Path, tmp_path: Path) -> None:
    copied = shutil.copytree(world, tmp_path / 'copy')
    missing = next((copied / 'dark_zurich/gt/train/day').rglob('*.png'))
    missing.unlink()
    config = config_of('oracle_day', copied, tmp_path)
    with pytest.raises(UserInputError) as error:
        training_dataset(config)
    assert str(error.value) == (
        f'train_dataloader.dataset.target: The label {str(missing)!r} does not exist: expected one for every image of '
        'the pairs, because an oracle reads them; render the world again into the same folder.'
    )
    write_mini_night(
        copied, workers=1, num_source_train=2, num_source_val=1, num_pairs=2, num_target_val=1
    )
    training_dataset(config)


def test_only_keeps_some_classes() -> None:
    labels = torch.tensor([[0, 10, 11, 18, 255]])
    assert only(labels, range(11)).tolist() == [[0, 10, 255, 255, 255]]
    assert only(labels, range(11, 19)).tolist() == [[255, 255, 11, 18, 255]]


def test_the_day_oracle_teaches_the_true_static_labels_of_the_day(
    world: Path, tmp_path: Path
) -> None:
    init_default_scope('mmseg')
    config = config_of('oracle_day', world, tmp_path)
    model = MODELS.build(config.model).eval()
    data = model.data_preprocessor(batch_of(config), False)
    inputs, samples = data['inputs'], data['data_samples']
    losses = model(inputs, samples, mode='loss')
    true = torch.cat([s.gt_sem_seg.data for s in samples['target_day']])
    assert (true > 10).any() and (true < 11).any()
    night = model.night.encode_decode(
        inputs['target_night'], [s.metainfo for s in samples['target_night']]
    )
    expected = model.loss_pseudo(night, true.masked_fill(true > 10, 255))
    assert losses['target_night.loss_pseudo'].item() == pytest.approx(expected.item(), rel=1e-5)


def test_the_dynamic_oracle_by_hand(world: Path, tmp_path: Path) -> None:
    """True labels where they are dynamic, M_d's static labels elsewhere, all classes compete."""
    init_default_scope('mmseg')
    config = config_of('oracle_dynamic', world, tmp_path)
    model = MODELS.build(config.model).eval()
    data = model.data_preprocessor(batch_of(config), False)
    inputs, samples = data['inputs'], data['data_samples']
    losses = model(inputs, samples, mode='loss')
    day, night = (
        getattr(model, light).encode_decode(
            inputs[f'target_{light}'], [s.metainfo for s in samples[f'target_{light}']]
        )
        for light in ('day', 'night')
    )
    pseudo = model.loss_pseudo.pseudo_labels(day, night)
    true = torch.cat([s.gt_sem_seg.data for s in samples['target_night']])
    labels = pseudo.clone()
    dynamic = (true >= 11) & (true <= 18)
    assert dynamic.any() and not dynamic.all()
    labels[dynamic] = true[dynamic].long()
    expected = F.cross_entropy(night, labels, ignore_index=255)
    assert losses['target_night.loss_dynamic'].item() == pytest.approx(expected.item(), rel=1e-5)
    expected = model.loss_pseudo(night, pseudo)
    assert losses['target_night.loss_pseudo'].item() == pytest.approx(expected.item(), rel=1e-5)
