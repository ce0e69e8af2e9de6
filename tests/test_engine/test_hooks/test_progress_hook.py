import io
import logging
import re
import time

import pytest
import torch
from mmengine.dist import is_main_process
from mmengine.evaluator import Evaluator
from mmengine.logging import MessageHub
from mmengine.model import BaseModel
from mmengine.runner import Runner
from mmengine.structures import BaseDataElement

from mmseg_ccdistill.engine.hooks import RichProgressHook
from mmseg_ccdistill.runtime.progress_text import (
    IterationLineFilter,
    duration_text,
    mean_losses,
    memory_text,
    short_name,
    validations_left,
)


class ToyModel(BaseModel):
    """Losses that a reader can compute: seg is i and pseudo is 10 i in iteration i."""

    def __init__(self, stop_at: int | None = None) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.ones(()))
        self.step = 0
        self.stop_at = stop_at

    def forward(self, inputs, data_samples=None, mode='tensor'):
        if mode != 'loss':
            return [BaseDataElement()]
        self.step += 1
        if self.step == self.stop_at:
            raise RuntimeError('the run broke')
        seg = self.weight * 0 + self.step
        pseudo = self.weight * 0 + 10 * self.step
        return {'source_day.loss_seg': seg, 'target_night.loss_pseudo': pseudo, 'cor.mean': seg}


class Score(Evaluator):
    def __init__(self) -> None:
        super().__init__([])

    def process(self, data_samples, data_batch=None) -> None: ...

    def evaluate(self, size: int) -> dict:
        return {'mIoU': 41.5}


def _run(
    tmp_path, hook: RichProgressHook, stop_at: int | None = None, test: bool = False
) -> Runner:
    data = [dict(inputs=torch.zeros(1)) for _ in range(4)]
    loader = dict(dataset=data, sampler=dict(type='DefaultSampler'), batch_size=2, num_workers=0)
    infinite = dict(loader, sampler=dict(type='InfiniteSampler'))
    runner = Runner(
        model=ToyModel(stop_at),
        work_dir=str(tmp_path),
        train_dataloader=infinite,
        val_dataloader=loader,
        test_dataloader=loader,
        train_cfg=dict(type='IterBasedTrainLoop', max_iters=6, val_interval=3),
        val_cfg=dict(type='ValLoop'),
        test_cfg=dict(type='TestLoop'),
        val_evaluator=Score(),
        test_evaluator=Score(),
        optim_wrapper=dict(optimizer=dict(type='SGD', lr=0.25)),
        default_hooks=dict(logger=dict(type='LoggerHook', interval=1, log_metric_by_epoch=False)),
        custom_hooks=[hook],
        log_processor=dict(by_epoch=False),
        default_scope='mmseg',
        experiment_name=f'toy_{time.time_ns()}',
    )
    if test:
        runner.test()
    else:
        runner.train()
    return runner


def test_plain_lines_state_iteration_eta_losses_rate_and_memory(tmp_path, capsys) -> None:
    _run(tmp_path, RichProgressHook(interval=2))

    out = capsys.readouterr().out
    lines = [line for line in out.splitlines() if line.startswith('train')]
    assert [line.split()[1] for line in lines] == ['1/6', '2/6', '4/6', '6/6']
    last = lines[-1]
    # The means of the last two iterations, 5 and 6: 5.5, ten times that, and their sum.
    assert 'loss 60.5  source_day.seg 5.5  target_night.pseudo 55' in last
    assert 'lr 0.25' in last and re.search(r'\d+\.\d GB (RAM|GPU)$', last)
    assert 's/iter' in last and 'eta 0:00:00' in last
    assert 'cor.mean' not in last
    assert '\x1b' not in last


def test_console_is_not_told_twice_and_the_log_file_keeps_all(tmp_path, capsys) -> None:
    runner = _run(tmp_path, RichProgressHook(interval=2))

    out = capsys.readouterr().out
    assert 'Iter(train)' not in out and 'Exp name' not in out
    assert out.count('mIoU: 41.5') == 2  # the results of both validations stay
    (log,) = tmp_path.glob('*/*.log')
    assert log.read_text().count('Iter(train)') == 6
    # The hook leaves the logger as it found it.
    assert not any(
        isinstance(filter_, IterationLineFilter)
        for handler in runner.logger.handlers
        for filter_ in handler.filters
    )


def test_losses_to_show_can_be_chosen(tmp_path, capsys) -> None:
    _run(tmp_path, RichProgressHook(interval=3, losses=['target_night.loss_pseudo']))
    last = [x for x in capsys.readouterr().out.splitlines() if x.startswith('train')][-1]
    assert 'loss 55  target_night.pseudo 50' in last and 'source_day' not in last


def test_test_loop_shows_its_progress(tmp_path, capsys) -> None:
    _run(tmp_path, RichProgressHook(interval=1), test=True)
    lines = [x for x in capsys.readouterr().out.splitlines() if x.startswith('test')]
    assert [line.split()[1] for line in lines] == ['1/2', '2/2']


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def _open_terminal(monkeypatch) -> Terminal:
    stream = Terminal()
    monkeypatch.setenv('TERM', 'xterm')
    monkeypatch.setenv('COLUMNS', '120')
    monkeypatch.setattr('sys.stdout', stream)
    return stream


def test_terminal_gets_a_bar_and_messages_above_it(tmp_path, monkeypatch) -> None:
    terminal = _open_terminal(monkeypatch)
    runner = _run(tmp_path, RichProgressHook(interval=2))

    text = re.sub(r'\x1b\[[0-9;?]*[A-Za-z]', '', terminal.getvalue())
    assert '6/6' in text and 'val' in text and 'loss 60.5' in text
    assert text.count('mIoU: 41.5') == 2
    assert 'Iter(train)' not in text
    # The cursor is shown again at the end, and the logger writes to the terminal itself.
    shown, hidden = '\x1b[?25h', '\x1b[?25l'
    assert terminal.getvalue().rfind(shown) > terminal.getvalue().rfind(hidden) >= 0
    streams = [h.stream for h in runner.logger.handlers if type(h) is logging.StreamHandler]
    assert streams == [terminal]


def test_a_broken_run_can_give_the_terminal_back(tmp_path, monkeypatch) -> None:
    terminal = _open_terminal(monkeypatch)
    hook = RichProgressHook(interval=1)
    with pytest.raises(RuntimeError, match='the run broke'):
        _run(tmp_path, hook, stop_at=3)

    hook.close()  # what the interpreter does at its exit

    assert terminal.getvalue().rstrip().endswith('\x1b[?25h')
    hook.close()  # and once more does no harm


def test_values_are_read_at_the_interval_only(tmp_path, monkeypatch) -> None:
    reads = []
    hook = RichProgressHook(interval=4)
    monkeypatch.setattr(
        'mmseg_ccdistill.engine.hooks.progress_hook.mean_losses',
        lambda hub, window: reads.append(window) or mean_losses(hub, window),
    )
    _run(tmp_path, hook)
    assert reads == [4, 4, 4]  # iterations 1, 4 and 6


@pytest.mark.parametrize(
    ('done', 'total', 'interval', 'begin', 'expected'),
    [
        (0, 6, 3, 1, 2),  # after 3 and 6
        (3, 6, 3, 1, 1),
        (6, 6, 3, 1, 0),
        (0, 7, 3, 1, 3),  # after 3, 6 and 7
        (0, 50000, 5000, 1, 10),
        (0, 9, 3, 7, 1),  # 3 and 6 come before `begin`
        (0, 2, 5, 1, 1),  # only the last iteration
    ],
)
def test_validations_left(done, total, interval, begin, expected) -> None:
    # Counted by hand from IterBasedTrainLoop's rule.
    assert validations_left(done, total, interval, begin) == expected


@pytest.mark.parametrize(
    ('message', 'kept'),
    [
        ('Iter(train) [  50/1000]  lr: 2.5000e-04  loss: 1.0', False),
        ('Epoch(train)  [1][50/100]  lr: 1.0', False),
        ('Iter(val) [ 50/106]    eta: 0:00:10  time: 0.1  data_time: 0.0  ', False),
        ('Iter(val) [106/106]    mIoU: 41.5000  data_time: 0.1  time: 0.2', True),
        ('Exp name: run_20240101', False),
        ('Saving checkpoint at 1000 iterations', True),
        ('per class results:', True),
    ],
)
def test_filter_drops_lines_about_single_iterations(message, kept) -> None:
    record = logging.LogRecord('x', logging.INFO, __file__, 1, message, None, None)
    assert IterationLineFilter().filter(record) is kept


def test_mean_losses_puts_the_total_first() -> None:
    hub = MessageHub(f'losses_{time.time_ns()}')
    for value in (1.0, 2.0, 4.0):
        hub.update_scalar('train/source_day.loss_seg', value)
        hub.update_scalar('train/loss', 10 * value)
        hub.update_scalar('train/lr', value)
        hub.update_scalar('val/loss_seg', value)
    assert list(mean_losses(hub, 2).items()) == [('loss', 30.0), ('source_day.loss_seg', 3.0)]


def test_texts() -> None:
    assert duration_text(3 * 3600 + 62.4) == '3:01:02'
    assert short_name('cross.loss_cdc_js') == 'cross.cdc_js'
    assert short_name('loss') == 'loss'
    value, unit, kind = memory_text().split()
    assert 0.01 < float(value) < 1000 and unit == 'GB' and kind in ('RAM', 'GPU')


def test_interval_must_be_positive() -> None:
    with pytest.raises(ValueError, match='interval'):
        RichProgressHook(interval=0)


def test_other_ranks_stay_silent(tmp_path, capsys, monkeypatch) -> None:
    assert is_main_process()
    monkeypatch.setattr('mmseg_ccdistill.engine.hooks.progress_hook.is_main_process', lambda: False)
    _run(tmp_path, RichProgressHook(interval=1))
    assert not re.search(r'^train ', capsys.readouterr().out, re.MULTILINE)
