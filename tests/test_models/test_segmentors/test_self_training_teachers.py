"""Teachers of SelfTraining: mode, start, state, export, resume, two processes."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.distributed as dist
from domain_batch import domain_batch
from mmengine.config import ConfigDict
from mmengine.model import MMDistributedDataParallel
from mmengine.optim import build_optim_wrapper
from mmengine.registry import init_default_scope
from mmseg.registry import MODELS
from self_training_model import PASSES, SELF, losses_of, with_draws, with_graph
from small_ccdistill import small_model
from torch import nn

from mmseg_ccdistill.models.self_training import self_training as self_training_file


def test_teachers_stay_in_evaluation_mode(build: Callable) -> None:
    model = build(self_training=SELF)
    model.train()
    assert not any(m.training for t in model.self_training.teachers.values() for m in t.modules())
    assert model.night.training and model.self_training.training


def test_teachers_follow_what_was_loaded(build: Callable, drawn: dict[str, Any]) -> None:
    torch.manual_seed(8)
    plain = MODELS.build(ConfigDict(small_model()['segmentor']))
    model = build(self_training=SELF)
    model.load_state_dict(plain.state_dict(), strict=False)
    losses_of(model, drawn)
    teacher = model.self_training.teachers['night']
    name = 'backbone.conv1.weight'
    assert torch.equal(teacher.state_dict()[name], plain.state_dict()[name])


def test_it_is_in_the_state_dict_and_in_no_export(build: Callable, drawn: dict[str, Any]) -> None:
    model = build(self_training=SELF)
    plain = build()
    losses_of(model, drawn)
    names = {
        name.split('.', 2)[1] for name in model.state_dict() if name.startswith('self_training')
    }
    assert names == {'emas', 'teachers', 'weights'}
    state, left = model.export_branch('night')
    expected, _ = plain.export_branch('night')
    assert state.keys() == expected.keys()
    assert any(name.startswith('self_training.teachers') for name in left)
    assert model.exportable == ('day', 'night')


def test_resumed_from_its_state_dict_it_goes_on_to_the_bit(
    build: Callable, drawn: dict[str, Any]
) -> None:
    own = dict(SELF, learners=('night', 'day'))

    def run(model: nn.Module, optimizer: torch.optim.Optimizer, iterations: range) -> None:
        for iteration in iterations:
            model.set_iteration(iteration, 6)
            total, _ = model.parse_losses(losses_of(model, drawn))
            optimizer.zero_grad()
            total.backward()
            optimizer.step()

    whole = build(self_training=own)
    optimizer = torch.optim.SGD(whole.parameters(), 1e-2, momentum=0.9)
    run(whole, optimizer, range(3))
    saved = copy.deepcopy([whole.state_dict(), optimizer.state_dict()])
    run(whole, optimizer, range(3, 6))
    resumed = build(self_training=own)
    optimizer = torch.optim.SGD(resumed.parameters(), 1e-2, momentum=0.9)
    resumed.load_state_dict(saved[0])
    optimizer.load_state_dict(saved[1])
    run(resumed, optimizer, range(3, 6))
    ours, theirs = whole.state_dict(), resumed.state_dict()
    assert all(torch.equal(value, theirs[name]) for name, value in ours.items())
    assert ours['self_training.emas.day.updates'] == 6
    assert not torch.equal(ours['self_training.weights.night.thresholds'], torch.full((19,), 0.5))


@pytest.mark.parametrize('fusion', ['mgcda', 'refign'])
def test_no_value_is_read(model_config: dict[str, Any], fusion: str) -> None:
    own = dict(
        SELF, learners=('night', 'day'), fusion=fusion, augment=True, masked_ratio=0.7, paste='half+things'
    )  # fmt: skip
    model = MODELS.build(ConfigDict(dict(model_config, self_training=own))).to('meta')
    model.diagnostics_interval = 0
    batch = with_draws(domain_batch())
    images = {d: torch.empty(2, 3, 64, 64, device='meta') for d in batch['inputs']}
    samples = {d: [s.to('meta') for s in part] for d, part in batch['data_samples'].items()}
    losses = model(images, samples, mode='loss')
    sum(value for name, value in losses.items() if 'loss' in name).backward()
    assert {'night.loss_mix', 'day.loss_mix', 'night.loss_masked'} <= set(losses)


OPTIM = dict(optimizer=dict(type='SGD', lr=1e-2, momentum=0.9))


def _build_two() -> nn.Module:
    init_default_scope('mmseg')
    torch.manual_seed(0)
    model = MODELS.build(ConfigDict(small_model(self_training=PASSES)))
    model.init_weights()
    return model.eval()  # no dropout, no batch statistics of one process


def _two_steps(rank: int, folder: str) -> None:
    torch.set_num_threads(1)
    init = f'file://{folder}/rendezvous'
    dist.init_process_group('gloo', init_method=init, rank=rank, world_size=2)
    states = []
    for losses_at in (self_training_file.early_backward, with_graph):
        self_training_file.early_backward = losses_at
        wrapped = MMDistributedDataParallel(_build_two())
        wrapper = build_optim_wrapper(wrapped, ConfigDict(copy.deepcopy(OPTIM)))
        for iteration in range(2):
            wrapped.module.set_iteration(iteration, 2)
            batch = with_draws(domain_batch(seed=10 * rank + iteration), seed=rank)
            data = wrapped.module.data_preprocessor(batch, True)
            total, _ = wrapped.module.parse_losses(wrapped(**data, mode='loss'))
            wrapper.update_params(total)
        states.append(wrapped.module.state_dict())
    torch.save(states, f'{folder}/{rank}.pt')
    dist.destroy_process_group()


def test_two_processes_have_equal_students_teachers_and_thresholds(tmp_path: Path) -> None:
    """They do, to the last bit, whether the passes go backward early or with the rest."""
    torch.multiprocessing.spawn(_two_steps, (str(tmp_path),), nprocs=2)
    (first, plain), others = (torch.load(tmp_path / f'{r}.pt', weights_only=True) for r in (0, 1))
    for state in (plain, *others):
        assert all(torch.equal(value, state[name]) for name, value in first.items())
    assert first['self_training.emas.night.updates'] == 2
    start = np.full(19, 0.5)
    for light in ('night', 'day'):
        assert not np.array_equal(first[f'self_training.weights.{light}.thresholds'].numpy(), start)
