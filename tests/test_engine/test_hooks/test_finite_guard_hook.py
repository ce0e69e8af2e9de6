"""Guards on a real runner: a model whose losses a test can spoil."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

import pytest
import torch
from mmengine.logging import MessageHub
from mmengine.model import BaseModel
from mmengine.optim import OptimWrapper, OptimWrapperDict
from mmengine.runner import Runner
from mmseg.structures import SegDataSample

from mmseg_ccdistill.engine.hooks import CollapseAlarmHook, DeferredInfoHook, FiniteGuardHook
from mmseg_ccdistill.engine.hooks.finite_guard_hook import NonFiniteError
from mmseg_ccdistill.runtime.finite_state import first_bad
from mmseg_ccdistill.runtime.host_values import to_host
from mmseg_ccdistill.runtime.step_record import batch_paths

NAN = float('nan')
SGD: dict[str, Any] = dict(type='SGD', lr=0.05, momentum=0.9)


class Spoiled(BaseModel):
    """A regression with batch statistics; ``spoil(step)`` scales the input and the two terms of a step.

    In the steps of ``kinks`` the loss is as ever, and its gradient NaN.
    """

    def __init__(
        self, spoil: Callable[[int], tuple[float, float, float]], kinks: Collection[int] = ()
    ) -> None:
        super().__init__()
        self.kinks = kinks
        torch.manual_seed(0)
        self.norm = torch.nn.BatchNorm1d(2)
        self.linear = torch.nn.Linear(2, 1)
        self.spoil = spoil
        self.steps = 0

    def forward(self, inputs: Any, data_samples: Any = None, mode: str = 'tensor') -> Any:
        self.steps += 1
        images, first, second = self.spoil(self.steps)
        out = self.linear(self.norm(torch.stack(list(inputs)) * images))
        kink = (out * 0).sum().sqrt() if self.steps in self.kinks else 0
        return {
            'source_day.loss_seg': out.square().mean() * first + kink,
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
    model: Spoiled | None = None,
    optim_wrapper: Any = None,
    **kwargs: Any,
) -> Runner:
    default = dict(
        runtime_info=dict(type='DeferredInfoHook'),
        logger=dict(type='LoggerHook', interval=4, log_metric_by_epoch=False),
        checkpoint=dict(type='CheckpointHook', by_epoch=False, interval=6),
    )
    default.update(kwargs)
    runner = Runner(
        model=model or Spoiled(spoil),
        work_dir=str(out),
        train_dataloader=dict(
            dataset=Points(),
            sampler=dict(type='InfiniteSampler', shuffle=False),
            batch_size=4,
            num_workers=0,
        ),
        train_cfg=dict(type='IterBasedTrainLoop', max_iters=iters, val_interval=10**6),
        optim_wrapper=optim_wrapper or dict(optimizer=dict(SGD)),
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


def test_bad_steps_that_are_not_in_a_row_do_not_end_the_run(tmp_path: Path) -> None:
    """Two of three steps, in one look and across looks of 4 iterations."""
    guard = FiniteGuardHook(max_in_row=3, interval=4)
    run(tmp_path, lambda step: (1, NAN if step % 3 else 1, 1), (guard,))
    assert guard.skipped == 8


def accumulate(count: int = 4) -> dict[str, Any]:
    return dict(optimizer=dict(SGD), accumulative_counts=count)


def norms(runner: Runner, key: str = 'train/grad_norm') -> list[float]:
    return runner.message_hub.get_scalar(key).data[0].tolist()


def test_one_bad_micro_batch_costs_its_step_and_no_more(tmp_path: Path, log: Any) -> None:
    """It is named, not the batches after it; steps have norms, the iterations between them none."""
    guard = FiniteGuardHook(max_in_row=2, interval=3)
    spoiled = run(
        tmp_path / 'a',
        lambda step: (1, NAN if step == 2 else 1, 1),
        (guard,),
        optim_wrapper=accumulate(),
    )
    (message,) = messages(log, 'were not finite')
    assert message.startswith(
        '1 of the last 2 iterations were not finite, first 2 (source_day.loss_seg; 4.png, 5.png, 6.png, 7.png): steps '
        'without a finite gradient were skipped'
    )
    assert guard.skipped == 1
    assert len(norms(spoiled)) == 3 and [norm != norm for norm in norms(spoiled)] == [
        True,
        False,
        False,
    ]
    # as if the first four iterations had had no gradient
    other = run(tmp_path / 'b', lambda step: (1, float(step > 4), 1), optim_wrapper=accumulate())
    assert torch.equal(spoiled.model.linear.weight, other.model.linear.weight)


def test_a_gradient_of_several_batches_names_them_all(tmp_path: Path, log: Any) -> None:
    guard = FiniteGuardHook(interval=50)
    run(
        tmp_path,
        hooks=(guard,),
        model=Spoiled(lambda step: (1, 1, 1), kinks=[6]),
        optim_wrapper=accumulate(2),
    )
    (message,) = messages(log, 'were not finite')
    files = ', '.join(f'{index}.png' for index in range(16, 24))  # of iterations 5 and 6
    assert f'first 6 (grad_norm; {files})' in message and guard.skipped == 1


def test_steps_that_are_all_spoiled_end_the_run(tmp_path: Path) -> None:
    """One micro-batch of each is enough, although good ones come between."""
    expected = r'3 steps of 4 iterations in a row were not finite \(up to 12: source_day.loss_seg, grad_norm\)'
    with pytest.raises(NonFiniteError, match=expected):
        run(
            tmp_path,
            lambda step: (1, NAN if step % 4 == 2 else 1, 1),
            (FiniteGuardHook(3, interval=4),),
            iters=20,
            optim_wrapper=accumulate(),
        )
    rows = json.loads((tmp_path / 'nonfinite_iter_12_rank0.json').read_text())
    assert [row['iteration'] for row in rows] == list(range(1, 13))


def test_a_checkpoint_before_the_spoiled_step(tmp_path: Path) -> None:
    """Iteration 5 spoils the batch statistics, 6 is saved, 8 steps: the file is clean."""
    run(
        tmp_path,
        lambda step: (float('inf') if step == 5 else 1, 1, 1),
        (FiniteGuardHook(),),
        optim_wrapper=accumulate(),
    )
    saved = torch.load(tmp_path / 'iter_6.pth', weights_only=False)['state_dict']
    assert torch.isfinite(saved['norm.running_mean']).all()


def test_a_clipped_gradient_is_watched_and_logged_once(tmp_path: Path, log: Any) -> None:
    """mmengine logs the norm before clipping; one that is not finite counts, although the loss is."""
    guard = FiniteGuardHook(interval=4)
    model = Spoiled(lambda step: (1, 1, 1), kinks=[3])
    clipped = dict(optimizer=dict(SGD), clip_grad=dict(max_norm=1e-6))
    runner = run(tmp_path, hooks=(guard,), model=model, optim_wrapper=clipped)
    assert guard.skipped == 1 and 'first 3 (grad_norm; 8.png' in messages(log, 'not finite')[0]
    values = norms(runner)
    assert len(values) == 12 and min(v for v in values if v == v) > 1e-3


class TwoOptimizers(Spoiled):
    """Each of two optimizers steps in every iteration."""

    def train_step(self, data: Any, optim_wrapper: Any) -> dict[str, torch.Tensor]:
        losses = self(**self.data_preprocessor(data, True))
        optim_wrapper.zero_grad()
        losses['source_day.loss_seg'].backward()
        optim_wrapper.step_all()
        return losses


class AllStep(OptimWrapperDict):
    def step_all(self) -> None:
        for wrapper in self.values():
            # made before the runner, so it writes to no run's hub yet
            wrapper.message_hub = MessageHub.get_current_instance()
            wrapper.step()


@pytest.mark.parametrize('clipped', [(), ('norm',), ('norm', 'linear')])
def test_two_optimizers_log_their_norms_apart(tmp_path: Path, clipped: tuple[str, ...]) -> None:
    model = TwoOptimizers(lambda step: (1, 1, 1))
    wrappers = {
        name: OptimWrapper(
            torch.optim.SGD(getattr(model, name).parameters(), lr=0.05),
            clip_grad=dict(max_norm=1e-6) if name in clipped else None,
        )
        for name in ('norm', 'linear')
    }
    runner = run(
        tmp_path,
        hooks=(FiniteGuardHook(interval=4),),
        model=model,
        optim_wrapper=AllStep(**wrappers),
    )
    logged = {key for key in runner.message_hub.log_scalars if 'grad_norm' in key}
    parts = {'train/norm.grad_norm', 'train/linear.grad_norm'}
    assert logged == (parts if clipped else {'train/grad_norm'})
    for key in logged:
        assert len(norms(runner, key)) == 12 and min(norms(runner, key)) > 1e-4


@pytest.mark.skipif(not hasattr(torch.amp, 'GradScaler'), reason='torch scales on CUDA only')
def test_a_step_that_the_loss_scaler_leaves_out_counts(tmp_path: Path, log: Any) -> None:
    """Its norm is logged as NaN, not as that of the step before; in a row they end the run."""

    class Scaled(OptimWrapper):
        def __init__(self, optimizer: torch.optim.Optimizer) -> None:
            super().__init__(optimizer)
            self.loss_scaler = torch.amp.GradScaler('cpu', init_scale=4.0)

        def backward(self, loss: torch.Tensor, **kwargs: Any) -> None:
            self.loss_scaler.scale(loss).backward(**kwargs)
            self._inner_count += 1

        def step(self, **kwargs: Any) -> None:
            self.loss_scaler.step(self.optimizer, **kwargs)
            self.loss_scaler.update()

    def scaled(folder: str, kinks: Collection[int], guard: FiniteGuardHook) -> Runner:
        model = Spoiled(lambda step: (1, 1, 1), kinks=kinks)
        wrapper = Scaled(torch.optim.SGD(model.parameters(), lr=0.05))
        return run(tmp_path / folder, hooks=(guard,), model=model, optim_wrapper=wrapper)

    guard = FiniteGuardHook(max_in_row=2, interval=4)
    values = norms(scaled('a', [3, 6], guard))
    assert [i + 1 for i, v in enumerate(values) if v != v] == [3, 6] and len(values) == 12
    assert guard.skipped == 2 and 'first 3 (grad_norm; 8.png' in messages(log, 'not finite')[0]
    with pytest.raises(NonFiniteError, match='2 iterations in a row were not finite .up to 7: gra'):
        scaled('b', [6, 7], guard)


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


def test_kept_values_are_in_the_checkpoint(tmp_path: Path) -> None:
    """Nobody has read them when the checkpoint of iteration 6 is written: the log reads at 1, 4 and 8."""
    run(tmp_path, checkpoint=dict(type='AtomicCheckpointHook', by_epoch=False, interval=6))
    for iteration in (6, 12):
        saved = torch.load(tmp_path / f'iter_{iteration}.pth', weights_only=True)
        scalars = saved['message_hub']['log_scalars']['train/source_day.loss_seg']
        assert len(scalars['log_history']) == iteration


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
        message.startswith('iteration 4: cor.in_day_mean is 0.999') and 'teaches little' in message
    )


def test_no_alarm_while_a_head_settles(tmp_path: Path, log: Any) -> None:
    run(tmp_path, hooks=(CollapseAlarmHook(begin=100),))
    assert messages(log, 'cor.in_day_mean is') == []
