"""The recipe of the stages of DMAda, GCMA and MGCDA, and which light each part and style has."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from meta_device import meta_device
from mmengine.config import Config
from mmengine.optim import build_optim_wrapper
from mmengine.registry import init_default_scope
from mmseg.registry import MODELS

CONFIGS = Path(__file__).resolve().parents[1] / 'configs'
LARGE, MINI = 'refinenet_r101_cs2dz', 'refinenet_small_mini_day2night'
LITE = 'refinenet_efficientnet-lite0_mini_day2night'


def load(name: str) -> Config:
    return Config.fromfile(str(CONFIGS / f'{name}.py'))


def lights(config: Config) -> list[tuple[str, float, str]]:
    """Name, share and folder of images of each part, and the folder of its styles."""
    found = []
    for part in config.train_dataloader.dataset.parts:
        styles = [Path(s.images).name for s in part.dataset.pipeline if s.type == 'LABStyle']
        folder = Path(part.dataset.data_prefix.img_path).name
        found.append((part.name, part.share, '/'.join([folder, *styles])))
    return found


@pytest.mark.parametrize(
    ('name', 'parts'),
    [
        ('dmada/{}_twilight', [('source', 1, 'train'), ('twilight', 1, 'twilight')]),
        ('dmada/{}', [('source', 1, 'train'), ('twilight', 1, 'twilight'), ('night', 1, 'night')]),
        ('gcma/{}_day', [('source', 2975, 'train/twilight'), ('day', 3041, 'day')]),
        ('gcma/{}', [('source', 2975, 'train/night'), ('twilight', 2920, 'twilight')]),
        ('mgcda/{}', [('source', 2975, 'train/night'), ('twilight', 2920, 'twilight')]),
    ],
)
def test_each_part_has_its_light_and_share(name: str, parts: list[tuple[str, float, str]]) -> None:
    assert lights(load(name.format(LARGE))) == parts
    small = [(part, 1, light) for part, _, light in parts]  # of equal numbers of images
    assert lights(load(name.format(MINI))) == lights(load(name.format(LITE))) == small


@pytest.mark.parametrize('method', ['dmada', 'gcma', 'mgcda'])
def test_the_rates_of_a_stage(method: str) -> None:
    config = load(f'{method}/{LARGE}')
    assert config.train_cfg.max_iters == 15000 and config.train_dataloader.batch_size == 2
    (scheduler,) = config.param_scheduler
    assert (scheduler.type, scheduler.factor) == ('ConstantLR', 1.0)
    init_default_scope('mmseg')
    with meta_device():
        model = MODELS.build(config.model)
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    seen = set()
    for group in build_optim_wrapper(model, config.optim_wrapper).optimizer.param_groups:
        assert (group['momentum'], group['weight_decay']) == (0.9, 5e-4)
        for parameter in group['params']:
            part = names[id(parameter)].split('.')[0]
            seen.add(part)
            assert group['lr'] == pytest.approx({'backbone': 5e-6, 'decode_head': 5e-5}[part])
    assert seen == {'backbone', 'decode_head'}


@pytest.mark.parametrize('stem', [LARGE, MINI, LITE])
@pytest.mark.parametrize(
    'name', ['dmada/{}_twilight', 'dmada/{}', 'gcma/{}_day', 'gcma/{}', 'mgcda/{}']
)
def test_what_every_stage_has(name: str, stem: str) -> None:
    config = load(name.format(stem))
    model = config.model
    frozen = 'freeze_norm' if stem == LITE else 'norm_eval'
    assert model.type == 'PartwiseEncoderDecoder' and model.backbone[frozen]
    assert model.decode_head.loss_decode.class_weight is None
    for part in config.train_dataloader.dataset.parts:
        steps: dict[str, Any] = {step.type: step for step in part.dataset.pipeline}
        assert steps['RandomResize'].ratio_range == (0.7, 1.3)
        assert steps['RandomCrop'].crop_size == config.crop_size
        if part.name != 'source':  # labels are those of the network that the stage starts from
            assert part.dataset.type == 'PseudoLabelledDataset'
            assert part.dataset.made_by == config.load_from


def test_mgcda_changes_the_guide_alone() -> None:
    for stem in (LARGE, MINI, LITE):
        gcma, mgcda = load(f'gcma/{stem}'), load(f'mgcda/{stem}')
        stages = [config.curriculum for config in (gcma, mgcda)]
        assert [stage[2].refine.align for stage in stages] == ['filter', 'geometry']
        stages[1][2].refine.align = 'filter'
        text = str(mgcda.to_dict()).replace('mgcda', 'gcma')
        assert text == str(gcma.to_dict())
