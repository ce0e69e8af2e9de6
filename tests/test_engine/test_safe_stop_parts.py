"""The parts of SafeStopHook by themselves: signals, dead workers, agreement of the processes."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from functools import partial

import pytest
import torch
from torch.utils.data import DataLoader, TensorDataset
from torch.utils.data._utils import signal_handling

from mmseg_ccdistill.runtime import stop_signals
from mmseg_ccdistill.runtime.dead_workers import WorkerWatch
from mmseg_ccdistill.runtime.rank_consensus import RankConsensus
from mmseg_ccdistill.runtime.run_errors import DataWorkerError
from mmseg_ccdistill.runtime.stop_signals import StopSignals

NUMBERS = (signal.SIGINT, signal.SIGTERM, signal.SIGCHLD)


@pytest.fixture(autouse=True)
def handlers(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The handlers of this process, put back whatever happens."""
    monkeypatch.setattr('sys.argv', ['tools/train.py', 'c.py'])
    before = {number: signal.getsignal(number) for number in NUMBERS}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def test_signals_are_noted_and_the_largest_counts(capfd: pytest.CaptureFixture[str]) -> None:
    before = [signal.getsignal(number) for number in NUMBERS]
    signals = StopSignals(lambda: 60.0, lambda frame: True)
    assert [signal.getsignal(number) for number in NUMBERS] == before
    signals.install()
    assert signals.number == 0
    os.kill(os.getpid(), signal.SIGTERM)
    assert signals.number == signal.SIGTERM
    os.kill(os.getpid(), signal.SIGINT)  # within three seconds: the same news once more
    assert signals.number == signal.SIGTERM
    signals.restore()
    assert [signal.getsignal(number) for number in NUMBERS] == before
    assert capfd.readouterr().err == (
        '\nSIGTERM: saving after this iteration, or ending without if that takes more than 60 s; '
        'once more: ends at once\n'
    )


def test_a_later_signal_goes_to_the_handler_of_before(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stop_signals, '_REPEAT_SECONDS', -1.0)
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a run in the background ignores it
    signals = StopSignals(lambda: 60.0, lambda frame: True)
    signals.install()
    os.kill(os.getpid(), signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        os.kill(os.getpid(), signal.SIGINT)


_FORGOTTEN = """
import os, signal, sys, time
from mmseg_ccdistill.runtime.stop_signals import StopSignals

sys.argv = ['tools/train.py', 'c.py']
signal.signal(signal.SIGINT, signal.default_int_handler)
signals = StopSignals(lambda: 0.2, lambda frame: not ended)
signals.install()
ended, taken = True, []
{after}
try:
    os.kill(os.getpid(), signal.SIGINT)
except KeyboardInterrupt:
    taken.append('interrupt')
time.sleep(0.6)
print(taken)
"""


@pytest.mark.parametrize(
    ('after', 'taken'),
    [
        pytest.param('', "['interrupt']", id='to the handler of before'),
        pytest.param(
            'signal.signal(signal.SIGINT, lambda *_: taken.append("own"))', "['own']", id='to a later one'
        ),
    ],
)  # fmt: skip
def test_a_signal_after_a_run_that_an_error_ended_is_not_that_runs(after: str, taken: str) -> None:
    """No hook hears of the error, so the handlers are still there; the process has to live on."""
    command = [sys.executable, '-c', _FORGOTTEN.format(after=after)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stdout.strip(), done.stderr) == (0, taken, '')


def _torchs_handler(number: int, frame: object) -> None:
    raise RuntimeError('DataLoader worker (pid 7) is killed by signal: Killed. ')


def test_a_dead_worker_is_noted_where_torch_would_raise() -> None:
    watch = WorkerWatch()
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    watch.install(4)  # no data loader has started its workers yet
    assert signal.getsignal(signal.SIGCHLD) == signal.SIG_DFL
    signal.signal(signal.SIGCHLD, _torchs_handler)
    watch.install(4)
    os.kill(os.getpid(), signal.SIGCHLD)
    assert watch.report.startswith('A data worker (one of 4) was killed by SIGKILL')
    assert watch.sentence('after iteration 7').endswith(
        '; the run ends after iteration 7; continue with: python tools/train.py c.py --resume'
    )
    watch.raises_at_once = True
    with pytest.raises(DataWorkerError, match='one of 4.* the run ends; continue with'):
        os.kill(os.getpid(), signal.SIGCHLD)
    watch.restore()
    assert signal.getsignal(signal.SIGCHLD) is _torchs_handler


def test_the_first_failure_is_kept_and_another_process_has_none() -> None:
    watch = WorkerWatch()
    assert watch.sentence().startswith('Another process reports that one of its data workers died;')
    watch.note(RuntimeError('DataLoader timed out after 300 seconds'), 2)
    first = watch.report
    assert first.startswith('The 2 data workers have given no batch for 300 s')
    watch.note(RuntimeError('DataLoader worker (pid 7) is killed by signal: Killed. '), 2)
    assert watch.report == first


def test_the_signal_is_named_where_torch_does_not_name_it(
    monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    # torch installs its handler once in the life of a process: it must find its place free later
    monkeypatch.setattr(signal_handling, '_SIGCHLD_handler_set', True)
    request.addfinalizer(partial(signal.signal, signal.SIGCHLD, signal.getsignal(signal.SIGCHLD)))
    # The handler that an earlier run has left would raise here.
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    others = {worker.pid for worker in multiprocessing.active_children()}
    batches = iter(
        DataLoader(TensorDataset(torch.zeros(4)), num_workers=2, multiprocessing_context='fork')
    )
    worker = next(w for w in multiprocessing.active_children() if w.pid not in others)
    silent, watch = WorkerWatch(), WorkerWatch()
    watch.install(2)
    os.kill(worker.pid, signal.SIGKILL)
    worker.join(10)
    for each in (silent, watch):
        each.note(RuntimeError('DataLoader worker (pid(s) 7) exited unexpectedly'), 2)
    del batches
    assert silent.report.startswith('A data worker (one of 2) exited unexpectedly; ')
    assert watch.report.startswith(
        'A data worker (one of 2) was killed by SIGKILL, as the system does when memory runs out; '
    )


def test_one_process_agrees_with_itself() -> None:
    ranks = RankConsensus(600.0)
    assert ranks.is_alone and ranks.largest(15) == 15
