"""Guards on a real runner: a model whose losses a test can spoil."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from mmengine.model import BaseModel
from mmengine.runner import Runner
from mmseg.structures import SegDataSample

from mmseg_ccdistill.engine.hooks import CollapseAlarmHook, DeferredInfoHook, FiniteGuardHook
from mmseg_ccdistill.engine.hooks.deferred_info_hook import to_host
from mmseg_ccdistill.engine.hooks.finite_guard_hook import NonFiniteError, batch_paths, first_bad

NAN = float('nan')


class Spoiled(BaseModel):
    """A regression with batch statistics; ``spoil(step)`` scales the input and the two terms of a step."""

    def __init__(self, spoil: Callable[[int], tuple[float, float, float]]) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.norm = torch.nn.BatchNorm1d(2)
        self.linear = torch.nn.Linear(2, 1)
        self.spoil = spoil
        self.steps = 0

    def forward(self, inputs: Any, data_samples: Any = None, mode: str = 'tensor') -> Any:
        self.steps += 1
        images, first, second = self.spoil(self.steps)
        out = self.linear(self.norm(torch.stack(list(inputs)) * images))
        return {
            'source_day.loss_seg': out.square().mean() * first,
            'cross.loss_cds': out.mean().square().detach() * second,
            'cor.in_day_mean': torch.tensor(0.999 if 4 <= self.steps < 8 else 0.5),
        }


class Points(torch.utils.data.Dataset):
    metainfo: dict = {}

    def __len__(self) -> int:
        return 64

    def __getitem__(self, index: int) -> dict[str, Any]:
        point = torch.randn(2, generator=torch.Generator().manual_seed(index))
        return dict(
            inputs=point, data_samples=SegDataSample(metainfo=dict(img_path=f'{index}.png'))
        )


def run(
    out: Path,
    spoil: Callable[[int], tuple[float, float, float]] = lambda step: (1, 1, 1),
    hooks: tuple = (),
    iters: int = 12,
    **kwargs: Any,
) -> Runner:
    default = dict(
        runtime_info=dict(type='DeferredInfoHook'),
        logger=dict(type='LoggerHook', interval=4, log_metric_by_epoch=False),
        checkpoint=dict(type='CheckpointHook', by_epoch=False, interval=6),
    )
    default.update(kwargs)
    runner = Runner(
        model=Spoiled(spoil),
        work_dir=str(out),
        train_dataloader=dict(
            dataset=Points(),
            sampler=dict(type='InfiniteSampler', shuffle=False),
            batch_size=4,
            num_workers=0,
        ),
        train_cfg=dict(type='IterBasedTrainLoop', max_iters=iters, val_interval=10**6),
        optim_wrapper=dict(optimizer=dict(type='SGD', lr=0.05, momentum=0.9)),
        default_hooks=default,
        custom_hooks=list(hooks),
        log_processor=dict(by_epoch=False),
        default_scope='mmseg',
        experiment_name=f'guard_{time.time_ns()}',
        randomness=dict(seed=0),
    )
    runner.train()
    return runner


def messages(caplog: pytest.LogCaptureFixture, word: str) -> list[str]:
    return [record.getMessage() for record in caplog.records if word in record.getMessage()]


@pytest.fixture
def log(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Records of the runner's logger, which does not hand them on."""
    from mmengine.logging import MMLogger

    original = MMLogger.__init__

    def attach(self: Any, *args: Any, **kwargs: Any) -> None:
        original(self, *args, **kwargs)
        self.addHandler(caplog.handler)

    monkeypatch.setattr(MMLogger, '__init__', attach)
    caplog.set_level(logging.INFO)
    return caplog


def test_bad_steps_change_nothing_and_are_reported(tmp_path: Path, log: Any) -> None:
    """A NaN loss in steps 3 and 9: the weights are those of the run in which these steps did not happen."""
    guard = FiniteGuardHook(interval=4)
    spoiled = run(tmp_path, lambda step: (1, NAN if step in (3, 9) else 1, 1), (guard,))
    assert guard.skipped == 2
    first, second = messages(log, 'were not finite')
    assert '1 of the last 3 iterations' in first and 'first 3 (source_day.loss_seg' in first
    assert '2 so far' in second and '; 8.png, 9.png, 10.png, 11.png)' in first
    assert (tmp_path / 'iter_12.pth').exists()
    assert all(torch.isfinite(p).all() for p in spoiled.model.parameters())
    norms, _ = spoiled.message_hub.get_scalar('train/grad_norm').data
    assert [step + 1 for step, norm in enumerate(norms) if norm != norm] == [3, 9]


def test_an_unspoiled_run_is_the_run_without_the_guard(tmp_path: Path) -> None:
    a = run(tmp_path / 'a', hooks=(FiniteGuardHook(interval=4),)).model.state_dict()
    b = run(tmp_path / 'b').model.state_dict()
    assert all(torch.equal(a[key], b[key]) for key in b)


def test_batch_statistics_are_repaired(tmp_path: Path, log: Any) -> None:
    """An infinite activation reaches the running mean, which no skipped step can prevent."""
    runner = run(
        tmp_path,
        lambda step: (float('inf') if step == 6 else 1, 1, 1),
        (FiniteGuardHook(interval=4),),
    )
    assert torch.isfinite(runner.model.norm.running_mean).all()
    (message,) = messages(log, 'were not finite')
    assert 'batch statistics of 2 tensors were restored' in message


def test_many_bad_steps_in_a_row_end_the_run_with_a_record(tmp_path: Path) -> None:
    with pytest.raises(NonFiniteError, match='3 iterations in a row .*lower the learning rate'):
        run(
            tmp_path,
            lambda step: (1, 1, NAN if step >= 5 else 1),
            (FiniteGuardHook(3, interval=4),),
        )
    rows = json.loads((tmp_path / 'nonfinite_iter_8_rank0.json').read_text())
    assert [row['iteration'] for row in rows] == [5, 6, 7]
    assert rows[0]['paths'] == {'': ['16.png', '17.png', '18.png', '19.png']}
    assert rows[0]['values']['cross.loss_cds'] == 'nan'
    assert float(rows[0]['values']['grad_norm']) > 0


def test_weights_that_are_not_finite_are_not_saved(tmp_path: Path) -> None:
    """However they came to be: here an optimizer that is not watched."""

    class Poison(FiniteGuardHook):
        def after_train_iter(self, runner: Any, *args: Any, **kwargs: Any) -> None:
            super().after_train_iter(runner, *args, **kwargs)
            if runner.iter == 7:
                runner.model.linear.weight.data.fill_(NAN)

    with pytest.raises(NonFiniteError, match='linear.weight is not finite at iteration'):
        run(tmp_path, hooks=(Poison(max_in_row=100, interval=4),))
    assert [path.name for path in tmp_path.glob('*.pth')] == ['iter_6.pth']


@pytest.mark.parametrize('kwargs', [dict(max_in_row=0), dict(interval=0)])
def test_bad_settings_are_refused(kwargs: dict) -> None:
    with pytest.raises(ValueError, match='at least 1'):
        FiniteGuardHook(**kwargs)


def test_names_of_files_and_tensors() -> None:
    sample = SegDataSample(metainfo=dict(img_path='a.png'))
    domains = {'data_samples': {'source_day': [sample], 'target_day': [SegDataSample()]}}
    assert batch_paths(domains) == {'source_day': ['a.png']}
    assert batch_paths({'data_samples': [sample]}) == {'': ['a.png']}
    assert batch_paths(None) == {} and batch_paths({'inputs': 1}) == {}
    tensors = [('a', torch.ones(2)), ('n', torch.tensor(3)), ('b', torch.tensor([1.0, NAN]))]
    assert first_bad(tensors) == 'b' and first_bad(tensors[:2]) is None and first_bad([]) is None


def test_the_deferred_log_is_the_log(tmp_path: Path) -> None:
    """Same histories as mmengine's hook, value by value."""
    hubs = []
    for folder, info in (('a', 'DeferredInfoHook'), ('b', 'RuntimeInfoHook')):
        runner = run(tmp_path / folder, runtime_info=dict(type=info), iters=11)
        hubs.append({key: value.data[0] for key, value in runner.message_hub.log_scalars.items()})
    assert set(hubs[0]) == set(hubs[1]) and 'train/source_day.loss_seg' in hubs[0]
    for key in hubs[0]:
        if 'time' not in key:
            assert hubs[0][key].tolist() == hubs[1][key].tolist(), key


def test_values_stay_on_the_device_between_logs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The hooks ask for no value but at iteration 1, at each log interval of 4, and at the checkpoint of 6."""
    moments: list[int] = []
    read = torch.Tensor.tolist

    def tolist(self: torch.Tensor) -> Any:
        moments.append(counter.steps)
        return read(self)

    def item(self: torch.Tensor) -> Any:
        moments.append(counter.steps)
        return read(self)

    class Counter(DeferredInfoHook):
        def after_train_iter(self, runner: Any, *args: Any, **kwargs: Any) -> None:
            counter.steps = runner.iter + 1
            super().after_train_iter(runner, *args, **kwargs)

    counter = type('', (), {'steps': 0})()
    from mmseg.registry import HOOKS

    HOOKS.register_module(module=Counter, force=True)
    try:
        monkeypatch.setattr(torch.Tensor, 'tolist', tolist)
        monkeypatch.setattr(torch.Tensor, 'item', item)
        run(tmp_path, runtime_info=dict(type='Counter'))
    finally:
        HOOKS.module_dict.pop('Counter')
    assert set(moments) <= {0, 1, 4, 6, 8, 12} and {1, 4, 8, 12} <= set(moments)


def test_numbers_and_tensors_move_together() -> None:
    assert to_host([torch.tensor(1.5), 2, torch.tensor([3], dtype=torch.int64), True]) == [
        1.5,
        2,
        3,
        1,
    ]
    assert to_host([]) == []


def test_a_collapse_is_told_once_until_it_is_over(tmp_path: Path, log: Any) -> None:
    run(tmp_path, hooks=(CollapseAlarmHook(begin=0),))
    (message,) = messages(log, 'cor.in_day_mean is')
    assert (
        message.startswith('iteration 4: cor.in_day_mean is 0.999') and 'teaches nothing' in message
    )


def test_no_alarm_while_a_head_settles(tmp_path: Path, log: Any) -> None:
    run(tmp_path, hooks=(CollapseAlarmHook(begin=100),))
    assert messages(log, 'cor.in_day_mean is') == []


@pytest.mark.parametrize(
    ('key', 'value', 'rings'),
    [
        ('pseudo.largest_class', 0.96, True),
        ('pseudo.largest_class', 0.94, False),
        ('cor.in_night_mean', -0.99, True),
        ('cor.in_night_mean', 0.85, False),
        ('cor.contrast_source', 0.001, True),
        ('cor.contrast_target', 0.3, False),
        ('cor.illu_source_mean', 0.999, False),
    ],
)
def test_limits_of_the_alarms(key: str, value: float, rings: bool) -> None:
    warned: list[str] = []
    logger = type('', (), {'warning': staticmethod(warned.append)})
    runner = type('', (), {'iter': 500, 'logger': logger})
    CollapseAlarmHook().after_train_iter(runner, 0, None, {key: torch.tensor(value)})
    assert bool(warned) == rings
