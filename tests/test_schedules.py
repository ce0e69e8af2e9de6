from pathlib import Path

import pytest
import torch
from meta_device import meta_device
from mmengine.config import Config
from mmengine.optim import build_optim_wrapper
from mmengine.registry import PARAM_SCHEDULERS, init_default_scope
from mmseg.registry import MODELS
from torch import nn

import mmseg_ccdistill  # noqa: F401

CONFIGS = Path(__file__).resolve().parents[1] / 'configs'
SCHEDULES = CONFIGS / '_base_' / 'schedules'


class TwoBranches(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        for name in ('day', 'night'):
            parts = nn.ModuleDict(dict(backbone=nn.Linear(2, 2), decode_head=nn.Linear(2, 2)))
            self.add_module(name, parts)
        self.projection_head = nn.Linear(2, 2)


def _build(name: str, model: nn.Module) -> tuple[Config, torch.optim.Optimizer]:
    config = Config.fromfile(str(SCHEDULES / f'{name}.py'))
    return config, build_optim_wrapper(model, config.optim_wrapper).optimizer


def test_adaptation_is_one_group_at_the_rates_of_the_paper() -> None:
    config, optimizer = _build('schedule_50k', TwoBranches())

    (group,) = optimizer.param_groups
    assert (group['lr'], group['momentum'], group['weight_decay']) == (2.5e-4, 0.9, 5e-4)
    assert config.optim_wrapper.clip_grad is None
    assert config.train_cfg.max_iters == 50000

    scheduler = PARAM_SCHEDULERS.build(
        dict(config.param_scheduler[0]), default_args=dict(optimizer=optimizer)
    )
    rates = {0: group['lr']}
    for iteration in range(1, 50001):
        optimizer.step()
        scheduler.step()
        rates[iteration] = group['lr']
    # 2.5e-4 * (1 - i / 50000) ** 0.9 to eight digits. mmengine's factors run to zero one step early.
    expected = {0: 2.5e-4, 1: 2.4999550e-4, 25000: 1.3397168e-4, 49000: 7.3937880e-6}
    for iteration, relative in {0: 0.0, 1: 1e-8, 25000: 2e-5, 49000: 9e-4}.items():
        assert rates[iteration] == pytest.approx(expected[iteration], rel=relative)
    assert 2.5e-4 - rates[1] == pytest.approx(2.5e-4 - 2.4999550e-4, rel=1e-2)
    assert rates[49999] == rates[50000] == 0.0  # the last iteration has the index 49999


def test_every_parameter_of_the_papers_model_is_optimised_once() -> None:
    """118,047,827 in each branch and 4,720,896 in the one projection head."""
    config = Config.fromfile(str(CONFIGS / 'ccdistill/refinenet_r101_cs2dz.py'))
    init_default_scope('mmseg')
    with meta_device():
        model = MODELS.build(config.model)
    (group,) = build_optim_wrapper(model, config.optim_wrapper).optimizer.param_groups
    optimised = [id(parameter) for parameter in group['params']]
    assert len(optimised) == len(set(optimised))
    assert sum(p.numel() for p in group['params']) == 2 * 118_047_827 + 4_720_896
    assert {id(p) for p in model.projection_head.parameters()} <= set(optimised)


@pytest.mark.parametrize('wrap', [False, True])
def test_source_only_heads_learn_ten_times_as_fast(wrap) -> None:
    model: nn.Module = TwoBranches() if wrap else TwoBranches().get_submodule('night')
    config, optimizer = _build('schedule_40k', model)

    names = {id(parameter): name for name, parameter in model.named_parameters()}
    for group in optimizer.param_groups:
        for parameter in group['params']:
            expected = 5e-3 if 'decode_head' in names[id(parameter)] else 5e-4
            assert group['lr'] == pytest.approx(expected)
            assert group['weight_decay'] == 5e-4
    assert config.train_cfg.max_iters == config.param_scheduler[0].end == 40000
