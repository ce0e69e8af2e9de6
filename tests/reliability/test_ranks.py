"""Several processes: they stop together, none waits for a dead one, and a restart goes on."""

from __future__ import annotations

import os
import re
import shutil
import time
from pathlib import Path

import pytest
import torch
from provoke import Provoke
from tiny_run import checkpoints, equal_weights, make_run, start, train, write_config

from mmseg_ccdistill.engine.hooks.restart_hook import MARKER
from mmseg_ccdistill.runtime.run_errors import LostRankError, ending_of, lost_rank

# The stated time within which the other processes end when one has died, under torchrun.
_STATED_SECONDS = 60


@pytest.fixture
def run(tmp_path, monkeypatch) -> Path:
    """A folder with data and ``tiny.py`` as the working directory."""
    monkeypatch.chdir(make_run(tmp_path))
    monkeypatch.setattr(Provoke, 'saves', [])
    for name in ('RANK', 'WORLD_SIZE', 'TORCHELASTIC_RUN_ID', 'SLURM_PROCID'):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


def attempt(monkeypatch: pytest.MonkeyPatch, count: int) -> None:
    """Set what torchrun tells a process about its attempts."""
    monkeypatch.setenv('TORCHELASTIC_MAX_RESTARTS', '3')
    monkeypatch.setenv('TORCHELASTIC_RESTART_COUNT', str(count))


@pytest.mark.parametrize(
    ('message', 'is_lost'),
    [
        (
            '[../third_party/gloo/gloo/transport/tcp/pair.cc:525] Connection closed by peer '
            '[127.0.0.1]:40216',
            True,
        ),
        ('[1] is setting up NCCL communicator and retrieving ncclUniqueId from [0] ...', True),
        ('NCCL error in: ../torch/csrc/distributed/c10d/ProcessGroupNCCL.cpp:1970', True),
        ('Connection reset by peer', True),
        ('The size of tensor a (3) must match the size of tensor b (4)', False),
        ('CUDA out of memory. Tried to allocate 2.00 GiB', False),
    ],
)
def test_errors_that_mean_a_lost_process(monkeypatch, message, is_lost) -> None:
    error = RuntimeError(message)
    monkeypatch.setenv('WORLD_SIZE', '2')
    assert isinstance(lost_rank(error), LostRankError) == is_lost
    ending = ending_of(error)
    assert (ending is not None) == is_lost
    if ending is not None:
        sentence, code = ending
        assert sentence.startswith('another process of this run has ended') and code == 1
        assert '\n' not in sentence and message[:40] in sentence
    monkeypatch.setenv('WORLD_SIZE', '1')
    assert lost_rank(error) is None


@pytest.mark.slow
def test_a_restart_goes_on_from_what_the_run_itself_has_written(run, monkeypatch, capfd) -> None:
    yesterday = ['train_cfg.max_iters=2', 'randomness.seed=7']
    assert train(monkeypatch, '--cfg-options', *yesterday, work_dir='yesterday') == 0
    assert train(monkeypatch, work_dir='whole') == 0
    time.sleep(0.05)
    options = ['--cfg-options', 'default_hooks.checkpoint.interval=2']

    attempt(monkeypatch, 0)
    write_config(run, at=1, what='SIGTERM')  # dies before its first checkpoint is due
    assert train(monkeypatch, *options) == 143
    (run / 'run/iter_1.pth').unlink()
    # A checkpoint of another run in the same folder, older than this one, which is not to be continued.
    shutil.copy2(run / 'yesterday/iter_2.pth', run / 'run/iter_2.pth')
    assert (run / 'run' / MARKER).is_file()

    attempt(monkeypatch, 1)
    write_config(run, at=3, what='SIGINT')
    capfd.readouterr()
    assert train(monkeypatch, *options) == 130
    assert 'resuming from' not in capfd.readouterr().out  # begins again
    (run / 'run/iter_3.pth').unlink()

    attempt(monkeypatch, 2)
    write_config(run)
    assert train(monkeypatch, *options) == 0
    out = capfd.readouterr().out
    assert re.search(r'torchrun, attempt 3: resuming from .*iter_2\.pth', out)
    assert equal_weights(run / 'run/iter_6.pth', run / 'whole/iter_6.pth')


@pytest.mark.slow
def test_without_restarts_nothing_is_resumed(run, monkeypatch, capfd) -> None:
    monkeypatch.setenv('TORCHELASTIC_MAX_RESTARTS', '0')
    monkeypatch.setenv('TORCHELASTIC_RESTART_COUNT', '0')
    assert train(monkeypatch, '--cfg-options', 'train_cfg.max_iters=2') == 0
    assert 'resuming from' not in capfd.readouterr().out
    assert not (run / 'run' / MARKER).exists()


@pytest.mark.slow
def test_one_process_is_signalled_and_both_stop_after_the_same_iteration(run) -> None:
    write_config(run, at=3, what='SIGTERM', rank=1)
    process = start(run, processes=2)
    out, err = process.communicate(timeout=240)
    assert process.returncode != 0
    assert checkpoints(run / 'run') == ['iter_3.pth'], err[-3000:]
    assert 'SIGTERM: the run ends after iteration 3, saved as' in out
    assert torch.load(run / 'run/iter_3.pth', weights_only=True)['meta']['iter'] == 3
    assert err.count('exitcode  : 143') >= 1  # in torchrun's report


@pytest.mark.slow
def test_a_dead_process_ends_the_others_within_the_stated_time(run) -> None:
    write_config(run, at=3, what='SIGKILL', rank=1, once='killed')
    process = start(run, processes=2)
    deadline = time.monotonic() + 240
    while not (run / 'killed').exists() and time.monotonic() < deadline:
        assert process.poll() is None, process.communicate()[1][-3000:]
        time.sleep(0.05)
    begin = time.monotonic()
    _, err = process.communicate(timeout=240)
    seconds = time.monotonic() - begin
    print(f'the launcher ended {seconds:.1f} s after the process')
    assert seconds < _STATED_SECONDS
    assert process.returncode != 0
    sentence = r'error: rank 0: another process of this run has ended .* continue .* torchrun --nproc_per_node=2'
    assert re.search(sentence, err), err[-3000:]


@pytest.mark.slow
def test_a_restart_by_torchrun_ends_with_the_same_weights(run) -> None:
    for folder, provoke in (('whole', {}), ('run', dict(at=5, what='SIGKILL', rank=1, once='x'))):
        write_config(run, **provoke)
        config = (run / 'tiny.py').read_text().replace('interval=100)', 'interval=2)')
        (run / 'tiny.py').write_text(config)
        process = start(run, processes=2, MAX_RESTARTS='1')
        _, err = process.communicate(timeout=300)
        assert process.returncode == 0, err[-3000:]
        if folder == 'whole':
            os.rename(run / 'run', run / 'whole')
    logs = ''.join(path.read_text() for path in (run / 'run').glob('*/*.log'))
    assert re.search(r'torchrun, attempt 2: resuming from .*iter_4\.pth', logs)
    assert equal_weights(run / 'run/iter_6.pth', run / 'whole/iter_6.pth')
