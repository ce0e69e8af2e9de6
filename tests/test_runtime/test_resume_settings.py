"""A resumed run has the learning rate, weight decay and momentum that its config asks for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from mmengine.optim import OptimWrapper, OptimWrapperDict
from resumed_run import (
    ADAM,
    HALF,
    RMSPROP,
    SGD,
    STEPS,
    WHOLE,
    Line,
    Run,
    changes,
    poly,
    warm_up,
    warnings,
)

from mmseg_ccdistill.runtime.checkpoint_file import TRUST_VARIABLE
from mmseg_ccdistill.runtime.run_setup import SETUP_KEY

COSINE = dict(type='CosineAnnealingLR', by_epoch=False, eta_min=0.01)
GROUPS = dict(paramwise_cfg=dict(custom_keys=dict(head=dict(lr_mult=10.0, decay_mult=0.0))))


@pytest.mark.parametrize(
    ('before', 'after', 'named'),
    [
        ([poly(HALF)], [poly(WHOLE)], 'param_scheduler.0.end 6 -> 12'),
        ([poly(WHOLE)], [poly(WHOLE, power=0.5)], 'param_scheduler.0.power 0.9 -> 0.5'),
        ([warm_up(3), poly(HALF, 3)], [warm_up(4), poly(WHOLE, 4)], 'param_scheduler.1.end 6 -> 12'),
        ([poly(HALF)], [warm_up(2), poly(WHOLE, 2)], 'param_scheduler PolyLR -> LinearLR, PolyLR'),
        ([warm_up(2), poly(HALF, 2)], [poly(WHOLE)], 'param_scheduler LinearLR, PolyLR -> PolyLR'),
        (
            [poly(HALF)],
            [dict(COSINE, T_max=WHOLE)],
            'param_scheduler.0.type PolyLR -> CosineAnnealingLR',
        ),
        ([dict(COSINE, T_max=HALF)], [dict(COSINE, T_max=WHOLE)], 'param_scheduler.0.T_max 6 -> 12'),
        ([dict(STEPS, milestones=[5])], [dict(STEPS, milestones=[3, 8])], 'param_scheduler.0.mile'),
        (
            [dict(type='ConstantLR', factor=0.5, end=9, by_epoch=False)],
            [dict(type='ConstantLR', factor=0.1, end=9, by_epoch=False)],
            'param_scheduler.0.factor 0.5 -> 0.1',
        ),
        ([poly(HALF)], None, 'param_scheduler PolyLR -> none'),
        (None, [poly(WHOLE)], 'param_scheduler none -> PolyLR'),
        (poly(HALF), poly(WHOLE), 'param_scheduler.0.end 6 -> 12'),
        (
            [dict(type='OneCycleLR', eta_max=0.1, total_steps=WHOLE, by_epoch=False)],
            [dict(type='OneCycleLR', eta_max=0.2, total_steps=WHOLE, by_epoch=False)],
            'param_scheduler.0.eta_max 0.1 -> 0.2',
        ),
    ],
)  # fmt: skip
def test_a_changed_schedule_is_that_of_a_run_that_had_it_from_the_start(
    tmp_path: Path, log: Any, before: Any, after: Any, named: str
) -> None:
    Run(tmp_path / 'a', HALF, before, **GROUPS)
    resumed = Run(tmp_path / 'a', WHOLE, after, resume=True, **GROUPS)
    whole = Run(tmp_path / 'whole', WHOLE, after, **GROUPS)
    assert list(resumed.rows) == list(range(HALF, WHOLE))
    assert resumed.rows == {i: whole.rows[i] for i in range(HALF, WHOLE)}
    assert any(named in text for text in changes(log))
    # a second resume finds nothing changed
    log.clear()
    Run(tmp_path / 'a', WHOLE, after, resume=True, **GROUPS)
    assert changes(log) == []


def test_the_rate_is_in_the_line(tmp_path: Path, log: Any) -> None:
    """The example: 6 iterations that decay to 0 are made 12."""
    Run(tmp_path, HALF, [poly(HALF)])
    resumed = Run(tmp_path, WHOLE, [poly(WHOLE)], resume=True)
    rate = 0.1 * (1 - HALF / (WHOLE - 1)) ** 0.9  # the closed form of the polynomial
    assert resumed.rate(HALF) == pytest.approx(rate)
    assert changes(log) == [
        'param_scheduler.0.end 6 -> 12',
        f'the learning rate is now {rate:.6g}, not 0',
    ]


def test_an_unchanged_run_says_nothing_and_is_the_same(tmp_path: Path, log: Any) -> None:
    for folder, iters in (('whole', WHOLE), ('half', WHOLE)):
        Run(tmp_path / folder, iters, [warm_up(3), poly(WHOLE, 3)], ADAM, **GROUPS)
    (tmp_path / 'half' / f'iter_{WHOLE}.pth').unlink()
    Run(tmp_path / 'half', WHOLE, [warm_up(3), poly(WHOLE, 3)], ADAM, resume=True, **GROUPS)
    assert changes(log) == []
    ours, theirs = (
        torch.load(tmp_path / name / f'iter_{WHOLE}.pth', weights_only=True)
        for name in ('half', 'whole')
    )
    assert ours['optimizer']['param_groups'] == theirs['optimizer']['param_groups']
    assert ours['param_schedulers'] == theirs['param_schedulers']
    assert all(torch.equal(v, theirs['state_dict'][k]) for k, v in ours['state_dict'].items())


@pytest.mark.parametrize(
    ('before', 'after', 'expected'),
    [
        (SGD, dict(SGD, weight_decay=0.5), ['weight_decay 0.01 -> 0.5']),
        (SGD, dict(SGD, momentum=0.5), ['momentum 0.9 -> 0.5']),
        (SGD, dict(SGD, nesterov=True), ['nesterov False -> True']),
        (ADAM, dict(ADAM, betas=(0.5, 0.99)), ['betas (0.9, 0.99) -> (0.5, 0.99)']),
        (dict(SGD, momentum=0), SGD, ['momentum 0 -> 0.9']),
        (
            SGD,
            dict(SGD, lr=0.2),
            ['lr 0.1 -> 0.2', 'the learning rate is now 0.098367, not 0.0491835'],
        ),
    ],
)
def test_settings_of_the_optimizer(
    tmp_path: Path, log: Any, before: dict, after: dict, expected: list[str]
) -> None:
    schedule = [poly(WHOLE)]
    Run(tmp_path / 'a', HALF, schedule, before)
    resumed = Run(tmp_path / 'a', WHOLE, schedule, after, resume=True)
    whole = Run(tmp_path / 'b', WHOLE, schedule, after)
    assert changes(log) == expected
    assert resumed.rows == {i: whole.rows[i] for i in range(HALF, WHOLE)}


def test_settings_of_some_groups(tmp_path: Path, log: Any) -> None:
    Run(tmp_path, HALF, [poly(WHOLE)], **GROUPS)
    other = dict(paramwise_cfg=dict(custom_keys=dict(head=dict(lr_mult=10.0, decay_mult=2.0))))
    resumed = Run(tmp_path, WHOLE, [poly(WHOLE)], resume=True, **other)
    assert changes(log) == ['weight_decay 0 -> 0.02']
    assert [row['weight_decay'] for row in resumed.rows[HALF]] == [0.01, 0.01, 0.02, 0.02, 0.01]


@pytest.mark.parametrize('optimizer', [SGD, ADAM])
def test_scheduled_momentum(tmp_path: Path, log: Any, optimizer: dict[str, Any]) -> None:
    def schedule(factor: float) -> list[dict[str, Any]]:
        line = dict(type='LinearMomentum', start_factor=factor, end=WHOLE, by_epoch=False)
        return [poly(WHOLE), line]

    Run(tmp_path / 'a', HALF, schedule(0.5), optimizer)
    resumed = Run(tmp_path / 'a', WHOLE, schedule(0.25), optimizer, resume=True)
    whole = Run(tmp_path / 'b', WHOLE, schedule(0.25), optimizer)
    assert resumed.rows == {i: whole.rows[i] for i in range(HALF, WHOLE)}
    assert changes(log) == ['param_scheduler.1.start_factor 0.5 -> 0.25']
    assert resumed.rows[HALF][0]['momentum'] != resumed.rows[HALF + 1][0]['momentum']


def test_the_beta_beside_a_scheduled_one(tmp_path: Path, log: Any) -> None:
    schedule = [dict(type='LinearMomentum', start_factor=0.5, end=WHOLE, by_epoch=False)]
    Run(tmp_path / 'a', HALF, schedule, ADAM)
    other = dict(ADAM, betas=(0.9, 0.5))
    resumed = Run(tmp_path / 'a', WHOLE, schedule, other, resume=True)
    whole = Run(tmp_path / 'b', WHOLE, schedule, other)
    assert resumed.rows == {i: whole.rows[i] for i in range(HALF, WHOLE)}
    assert changes(log) == ['second beta 0.99 -> 0.5']


def two_optimizers(model: Line, lr: float) -> OptimWrapperDict:
    parts = dict(backbone=model.backbone, head=model.head)
    return OptimWrapperDict(
        **{k: OptimWrapper(torch.optim.SGD(p.parameters(), lr=lr)) for k, p in parts.items()}
    )


def test_two_optimizers(tmp_path: Path, log: Any) -> None:
    rows = []
    runs = (('a', HALF, 0.1, HALF), ('a', WHOLE, 0.2, WHOLE), ('b', WHOLE, 0.2, WHOLE))
    for folder, iters, lr, end in runs:
        model = Line()
        schedule = dict(backbone=[poly(end)], head=[poly(end + 3)])
        resume = folder == 'a' and iters == WHOLE
        run = Run(
            tmp_path / folder, iters, schedule, two_optimizers(model, lr), resume, model=model
        )
        rows.append(run.rows)
    assert rows[1] == {i: rows[2][i] for i in range(HALF, WHOLE)}
    assert changes(log)[:2] == [
        'backbone: param_scheduler.0.end 6 -> 12',
        'backbone: lr 0.1 -> 0.2',
    ]
    with pytest.raises(ValueError, match='has the optimizers backbone, head, the config makes one'):
        Run(tmp_path / 'a', WHOLE + 2, None, SGD, resume=True)


OWN_RUN = 'or start a run of its own from these weights: load_from=CHECKPOINT, another work dir, no resume'


@pytest.mark.parametrize('marked', [True, False], ids=['own checkpoint', 'unmarked'])
@pytest.mark.parametrize(
    ('before', 'after', 'sentence'),
    [
        (SGD, ADAM, 'optimizer of the checkpoint is {SGD|amsgrad, betas, eps}, that of the config'),
        (ADAM, SGD, 'optimizer of the checkpoint is {AdamW|dampening, '),
        (ADAM, dict(ADAM, amsgrad=True), 'was trained without amsgrad'),
        (RMSPROP, dict(RMSPROP, centered=True), 'was trained without centered'),
        (RMSPROP, dict(RMSPROP, momentum=0.9), 'was trained without momentum'),
    ],
)
def test_state_that_does_not_fit_is_refused(
    tmp_path: Path, before: dict, after: dict, sentence: str, marked: bool
) -> None:
    Run(tmp_path, HALF, None, before)
    path = tmp_path / f'iter_{HALF}.pth'
    saved = torch.load(path, weights_only=True)
    assert saved['meta'][SETUP_KEY]['optimizers'] == {'': before['type']}
    if not marked:  # as a stock hook of another package writes it
        del saved['meta'][SETUP_KEY]
        torch.save(saved, path)
    head, _, rest = sentence.partition('{')
    own, _, other = rest.partition('}')[0].partition('|')
    expected = head + (
        own if marked or not other else f'of another type (it has no {other}' if other else ''
    )
    with pytest.raises(ValueError) as raised:
        Run(tmp_path, WHOLE, None, after, resume=True)
    assert expected in str(raised.value) and str(raised.value).endswith(OWN_RUN)


def test_adam_is_told_from_adamw(tmp_path: Path) -> None:
    Run(tmp_path, HALF, None, ADAM)
    with pytest.raises(ValueError, match='is AdamW, that of the config .* is Adam:'):
        Run(tmp_path, WHOLE, None, dict(ADAM, type='Adam'), resume=True)


def test_other_parameter_groups_are_refused(tmp_path: Path) -> None:
    Run(tmp_path, HALF, None)
    expected = (
        'the optimizer of the checkpoint has 1 parameter group of 4 parameters, that of the config 4 parameter '
        'groups of 4 parameters: its state does not fit; configure the model and optim_wrapper.paramwise_cfg as they '
        f'were, {OWN_RUN}'
    )
    with pytest.raises(ValueError) as raised:
        Run(tmp_path, WHOLE, None, resume=True, **GROUPS)
    assert str(raised.value) == expected


def test_another_model_is_refused(tmp_path: Path) -> None:
    Run(tmp_path, HALF, None)
    with pytest.raises(ValueError) as raised:
        Run(tmp_path, WHOLE, None, resume=True, model=Line(width=3))
    assert str(raised.value) == (
        'the optimizer of the checkpoint holds a parameter of shape (1, 2) where the model has (3, 2): configure the '
        f'model as it was, {OWN_RUN}'
    )


def test_epochs(tmp_path: Path, log: Any) -> None:
    """Two of four epochs of 16 iterations, with schedules of both kinds."""

    def schedule(gamma: float) -> list[dict[str, Any]]:
        return [poly(64), dict(type='StepLR', step_size=1, gamma=gamma, by_epoch=True)]

    hook = dict(type='AtomicCheckpointHook', by_epoch=True, interval=2)
    Run(tmp_path / 'a', 0, schedule(0.5), epochs=2, checkpoint=hook)
    resumed = Run(tmp_path / 'a', 0, schedule(0.8), epochs=4, checkpoint=hook, resume=True)
    whole = Run(tmp_path / 'b', 0, schedule(0.8), epochs=4, checkpoint=hook)
    assert list(resumed.rows) == list(range(32, 64))
    assert resumed.rows == {i: whole.rows[i] for i in range(32, 64)}
    assert any('param_scheduler.1.gamma 0.5 -> 0.8' in text for text in warnings(log))
    again = Run(tmp_path / 'a', 0, schedule(0.8), epochs=4, checkpoint=hook, resume=True)
    assert again.rows == {} and any('64 iterations are done' in text for text in warnings(log))


def test_a_schedule_that_follows_metrics_is_kept_or_refused(tmp_path: Path, log: Any) -> None:
    plateau = dict(type='ReduceOnPlateauLR', monitor='mIoU', rule='greater')
    Run(tmp_path, HALF, [plateau])
    Run(tmp_path, HALF + 1, [plateau], resume=True)
    assert changes(log) == []
    with pytest.raises(
        ValueError, match='ReduceOnPlateauLR follows the metrics .*patience 10 -> 3'
    ):
        Run(tmp_path, WHOLE, [dict(plateau, patience=3)], resume=True)


@pytest.mark.parametrize('iters', [HALF, HALF - 2])
def test_a_finished_run_says_so(tmp_path: Path, log: Any, iters: int) -> None:
    Run(tmp_path, HALF, [poly(HALF)])
    saved = (tmp_path / f'iter_{HALF}.pth').read_bytes()
    assert not [text for text in warnings(log) if 'finished' in text]
    again = Run(tmp_path, iters, [poly(HALF)], resume=True)
    assert again.rows == {} and (tmp_path / f'iter_{HALF}.pth').read_bytes() == saved
    assert [text for text in warnings(log) if 'finished' in text] == [
        f'this run is finished: 6 iterations are done, train_cfg asks for {iters}, so nothing is trained; to train on, '
        'raise train_cfg.max_iters and the end of param_scheduler'
    ]


def test_without_saved_optimizer_the_rate_is_right(tmp_path: Path, log: Any) -> None:
    hook = dict(type='AtomicCheckpointHook', by_epoch=False, interval=HALF, save_optimizer=False)
    Run(tmp_path / 'a', HALF, [poly(WHOLE)], checkpoint=hook)
    resumed = Run(tmp_path / 'a', WHOLE, [poly(WHOLE)], resume=True)
    whole = Run(tmp_path / 'b', WHOLE, [poly(WHOLE)])
    assert resumed.rows == {i: whole.rows[i] for i in range(HALF, WHOLE)}
    assert 'the checkpoint has no optimizer state, so momentum begins at zero' in changes(log)


def test_the_stock_checkpoint_hook(
    tmp_path: Path, log: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """mmengine's own hook writes a file that is settled alike."""
    monkeypatch.setenv(TRUST_VARIABLE, '1')  # torch before 2.10 cannot read such a file safely
    hook = dict(type='CheckpointHook', by_epoch=False, interval=HALF)
    Run(tmp_path / 'a', HALF, [poly(HALF)], checkpoint=hook)
    resumed = Run(tmp_path / 'a', WHOLE, [poly(WHOLE)], resume=True)
    whole = Run(tmp_path / 'b', WHOLE, [poly(WHOLE)])
    assert resumed.rows == {i: whole.rows[i] for i in range(HALF, WHOLE)}
