"""SIGTERM, SIGINT and dead data workers: the run is saved, says so and can be continued."""

from __future__ import annotations

import multiprocessing
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import mmseg
import pytest
import torch
from provoke import Provoke
from tiny_run import (
    HERE,
    ROOT,
    checkpoints,
    end_workers,
    equal_weights,
    make_run,
    start,
    train,
    write_config,
)

from mmseg_ccdistill.engine.hooks.safe_stop_hook import SafeStopHook
from mmseg_ccdistill.runtime import stop_signals
from mmseg_ccdistill.runtime.data_workers import init_worker
from mmseg_ccdistill.runtime.run_errors import (
    describe_loading_failure,
    ending_of,
    is_loading_failure,
    memory_text,
    resume_command,
)

_WORKERS = ['train_dataloader.num_workers=2', 'train_dataloader.persistent_workers=True']


@pytest.fixture
def run(tmp_path, monkeypatch) -> Iterator[Path]:
    """A folder with data and ``tiny.py`` as the working directory."""
    monkeypatch.chdir(make_run(tmp_path))
    monkeypatch.setattr(Provoke, 'saves', [])
    for name in ('RANK', 'WORLD_SIZE', 'TORCHELASTIC_RUN_ID', 'SLURM_PROCID'):
        monkeypatch.delenv(name, raising=False)
    yield tmp_path
    end_workers()


@pytest.mark.parametrize(
    ('name', 'code'),
    [('SIGTERM', 143), pytest.param('SIGINT', 130, marks=pytest.mark.slow)],
)
def test_a_signal_saves_after_the_iteration_and_ends_the_run(
    run, monkeypatch, capfd, name, code
) -> None:
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    write_config(run, at=3, what=name)
    assert train(monkeypatch) == code
    assert checkpoints(run / 'run') == ['iter_3.pth']
    assert (run / 'run/last_checkpoint').read_text().endswith('iter_3.pth')
    saved = torch.load(run / 'run/iter_3.pth', weights_only=True)
    assert saved['meta']['iter'] == 3 and 'optimizer' in saved and 'param_schedulers' in saved
    out, err = capfd.readouterr()
    assert f'{name}: saving after this iteration' in err
    message = f'{name}: the run ends after iteration 3, saved as .*iter_3.pth; continue with: python .*train.py'
    assert re.search(message + r' tiny.py --work-dir run --resume', out + err)
    assert before == [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]


def test_an_interrupted_run_ends_with_the_weights_of_an_uninterrupted_one(run, monkeypatch) -> None:
    assert train(monkeypatch, work_dir='whole') == 0
    write_config(run, at=3, what='SIGTERM')
    assert train(monkeypatch) == 143
    assert train(monkeypatch, '--resume') == 0
    assert checkpoints(run / 'run') == ['iter_3.pth', 'iter_6.pth']
    assert equal_weights(run / 'run/iter_6.pth', run / 'whole/iter_6.pth')
    assert not equal_weights(run / 'run/iter_3.pth', run / 'run/iter_6.pth')


@pytest.mark.slow
def test_a_checkpoint_that_is_due_anyway_is_written_once(run, monkeypatch) -> None:
    write_config(run, at=4, what='SIGTERM')
    assert train(monkeypatch, '--cfg-options', 'default_hooks.checkpoint.interval=2') == 143
    assert Provoke.saves == [2, 4]


@pytest.mark.slow
def test_the_number_of_kept_checkpoints_stays_right(run, monkeypatch) -> None:
    write_config(run, at=5, what='SIGTERM')
    options = ['default_hooks.checkpoint.interval=2', 'default_hooks.checkpoint.max_keep_ckpts=2']
    assert train(monkeypatch, '--cfg-options', *options) == 143
    assert checkpoints(run / 'run') == ['iter_4.pth', 'iter_5.pth']


@pytest.mark.parametrize('interval', [pytest.param(3, marks=pytest.mark.slow), 100])
def test_a_signal_in_a_validation_ends_it_after_the_image(
    run, monkeypatch, capfd, interval
) -> None:
    write_config(run, at=3, what='SIGTERM', in_val=True)
    options = ['train_cfg.val_interval=3', f'default_hooks.checkpoint.interval={interval}']
    assert train(monkeypatch, '--cfg-options', *options) == 143
    assert Provoke.saves == [3] and checkpoints(run / 'run') == ['iter_3.pth']
    assert 'aAcc: ' not in capfd.readouterr().out
    write_config(run)
    assert train(monkeypatch, '--resume') == 0  # goes on at iteration 4
    assert checkpoints(run / 'run')[-1] == 'iter_6.pth'


@pytest.mark.slow
def test_a_second_signal_ends_the_run_at_once(run, monkeypatch) -> None:
    monkeypatch.setattr(stop_signals, '_REPEAT_SECONDS', -1.0)
    write_config(run, at=3, what='SIGINT', times=2)
    assert train(monkeypatch) == 130
    assert checkpoints(run / 'run') == []


def test_a_signal_that_is_forwarded_twice_counts_once(run, monkeypatch) -> None:
    write_config(run, at=3, what='SIGINT', times=2)
    assert train(monkeypatch) == 130
    assert checkpoints(run / 'run') == ['iter_3.pth']


@pytest.mark.slow
def test_a_save_that_fails_is_reported_with_the_exit_code_of_the_signal(
    run, monkeypatch, capfd
) -> None:
    from mmseg_ccdistill.runtime import atomic_file

    def full(*_: object, **__: object) -> None:
        raise OSError(28, 'No space left on device')

    monkeypatch.setattr(atomic_file.os, 'fsync', full)
    write_config(run, at=3, what='SIGTERM')
    assert train(monkeypatch) == 143
    assert 'iteration 3, which could not be saved' in capfd.readouterr().out
    assert checkpoints(run / 'run') == []


@pytest.mark.parametrize('after_a_failed_run', [False, True])
def test_a_killed_data_worker_saves_and_names_signal_memory_and_command(
    run, monkeypatch, capfd, after_a_failed_run
) -> None:
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    if after_a_failed_run:
        write_config(run, at=2, what='error')
        with pytest.raises(ZeroDivisionError):
            train(monkeypatch, '--cfg-options', *_WORKERS, work_dir='failed')
        assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before
        end_workers()
        capfd.readouterr()
    write_config(run, at=3, what='worker SIGKILL')
    assert train(monkeypatch, '--cfg-options', *_WORKERS) == 1
    error = [line for line in capfd.readouterr().err.splitlines() if line.startswith('error: ')]
    assert len(error) == 1
    for part in (
        r'A data worker \(one of 2\) was killed by SIGKILL',
        r'[\d.]+ of [\d.]+ GB of /dev/shm and [\d.]+ GB of memory are free',
        'use fewer train_dataloader.num_workers',
        r'saved as .*iter_3\.pth',
        r'continue with: python .*train\.py tiny\.py .* --resume',
    ):
        assert re.search(part, error[0]), (part, error[0])
    assert checkpoints(run / 'run') == ['iter_3.pth']
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before
    write_config(run)
    assert train(monkeypatch, '--resume', '--cfg-options', *_WORKERS) == 0


def test_a_signal_after_a_run_that_an_error_ended_goes_to_the_handler_of_before(
    run, monkeypatch
) -> None:
    """As in a notebook, where Ctrl-C must still stop what comes next and leave the process alive."""
    got: list[int] = []
    monkeypatch.setattr('os._exit', got.append)
    monkeypatch.setattr(
        SafeStopHook, 'release', lambda: None
    )  # as where MMEngine's Runner is used directly
    handler = signal.signal(signal.SIGTERM, lambda number, frame: got.append(number))
    try:
        write_config(run, at=2, what='error')
        with pytest.raises(ZeroDivisionError):
            train(
                monkeypatch, '--cfg-options', 'default_hooks.safe_stop.stop_timeout=0.05',
            )  # fmt: skip
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(1)
        assert got == [signal.SIGTERM]
    finally:
        signal.signal(signal.SIGTERM, handler)


@pytest.mark.slow
def test_a_worker_killed_in_a_validation_ends_in_the_same_sentence(run, monkeypatch, capfd) -> None:
    write_config(run, at=3, what='worker SIGKILL', in_val=True)
    options = [
        'train_cfg.val_interval=3', 'val_dataloader.num_workers=2', 'default_hooks.checkpoint.interval=3',
    ]  # fmt: skip
    assert train(monkeypatch, '--cfg-options', *options) == 1
    assert 'was killed by SIGKILL' in capfd.readouterr().err
    assert checkpoints(run / 'run') == ['iter_3.pth']


@pytest.mark.parametrize('at', [3, pytest.param(None, marks=pytest.mark.slow)])
def test_a_run_that_ends_leaves_no_data_worker_behind(run, monkeypatch, at) -> None:
    write_config(run, at=at, what='SIGTERM')
    assert train(monkeypatch, '--cfg-options', *_WORKERS) == (0 if at is None else 143)
    assert multiprocessing.active_children() == []


def test_data_workers_leave_the_signals_to_their_parent(run, monkeypatch) -> None:
    """SIGINT and a SIGTERM that is not the parent's leave a worker alive; the parent's ends it."""
    context = multiprocessing.get_context('fork')
    ready = context.Event()

    def work() -> None:
        init_worker(0, None)
        ready.set()
        time.sleep(60)

    worker = context.Process(target=work, daemon=True)
    worker.start()
    assert ready.wait(60) and worker.pid is not None
    subprocess.run(['kill', '-TERM', str(worker.pid)], check=True)
    worker.join(0.5)
    assert worker.is_alive()
    os.kill(worker.pid, signal.SIGTERM)
    worker.join(60)
    assert worker.exitcode == 0


@pytest.mark.parametrize(
    ('message', 'expected'),
    [
        (
            'DataLoader worker (pid 12) is killed by signal: Bus error. It is possible that '
            "dataloader's workers are out of shared memory.",
            'was killed by SIGBUS, as happens when shared memory runs out; .*--shm-size',
        ),
        ('DataLoader worker (pid 12) is killed by signal: Segmentation fault. ', 'by SIGSEGV;'),
        (
            'DataLoader worker (pid 12) exited unexpectedly with exit code 3. Details are lost',
            'exited with code 3;',
        ),
        ('DataLoader worker (pid(s) 12, 13) exited unexpectedly', 'exited unexpectedly;'),
    ],
)
def test_the_ways_in_which_workers_die(message, expected) -> None:
    error = RuntimeError(message)
    assert is_loading_failure(error) and not is_loading_failure(RuntimeError('worker'))
    assert re.search(expected, describe_loading_failure(error, 4))
    ending = ending_of(error)  # in a loop without the hook
    assert ending is not None and ending[1] == 1 and '\n' not in ending[0]


def test_the_command_that_continues(monkeypatch) -> None:
    for name in ('TORCHELASTIC_RUN_ID', 'SLURM_PROCID'):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(sys, 'argv', ['tools/train.py', 'c.py', '--cfg-options', 'a=[1, 2]'])
    assert resume_command() == "python tools/train.py c.py --cfg-options 'a=[1, 2]' --resume"
    monkeypatch.setattr(
        sys, 'argv', ['tools/train.py', 'c.py', '--resume', '--launcher', 'pytorch']
    )
    monkeypatch.setenv('TORCHELASTIC_RUN_ID', 'none')
    monkeypatch.setenv('LOCAL_WORLD_SIZE', '4')
    expected = 'torchrun --nproc_per_node=4 tools/train.py c.py --resume --launcher pytorch'
    assert resume_command() == expected
    monkeypatch.setattr(sys, 'argv', ['notebook'])
    assert 'resume=True' in resume_command()


def test_the_subcommand_that_continues(monkeypatch) -> None:
    for name in ('TORCHELASTIC_RUN_ID', 'SLURM_PROCID'):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(sys, 'argv', ['ccdistill train', 'ccdistill/a', '--launcher', 'pytorch'])
    words = 'ccdistill train ccdistill/a --launcher pytorch --resume'
    assert resume_command() == words
    monkeypatch.setenv('SLURM_PROCID', '0')
    assert resume_command() == f'srun python -m {words}'
    monkeypatch.setenv('TORCHELASTIC_RUN_ID', 'none')
    monkeypatch.setenv('LOCAL_WORLD_SIZE', '2')
    assert resume_command() == f'torchrun --nproc_per_node=2 -m {words}'


@pytest.mark.skipif(not Path('/dev/shm').is_dir(), reason='Linux only')
def test_free_memory_is_that_of_the_machine() -> None:
    total = os.statvfs('/dev/shm')
    expected = f'of {total.f_blocks * total.f_frsize / 1e9:.1f} GB of /dev/shm'
    assert expected in memory_text()


@pytest.mark.slow
@pytest.mark.parametrize('tool', ['ours', "mmseg's"])
def test_a_signal_to_the_whole_process_group(run, tool) -> None:
    """What Slurm and torchrun send: every data worker gets it, too."""
    write_config(run, at=3, what='group SIGTERM')
    config = (run / 'tiny.py').read_text()
    config = config.replace('num_workers=0', 'num_workers=2', 1)
    (run / 'tiny.py').write_text(config)
    if tool == 'ours':
        process = start(run)
    else:
        script = Path(mmseg.__file__).parent / '.mim/tools/train.py'
        if not script.is_file():
            pytest.skip('this build of mmseg comes without its tools')
        env = dict(os.environ, PYTHONPATH=f'{ROOT}{os.pathsep}{HERE}', OMP_NUM_THREADS='1')
        command = [sys.executable, str(script), 'tiny.py', '--work-dir', 'run']
        process = subprocess.Popen(
            command, cwd=run, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            start_new_session=True,
        )  # fmt: skip
    out, err = process.communicate(timeout=180)
    assert process.returncode == 143, err[-3000:]
    assert checkpoints(run / 'run') == ['iter_3.pth']
    assert 'Traceback' not in err


@pytest.mark.slow
def test_torchrun_itself_is_told_to_stop(run) -> None:
    """It signals every process of the job, their data workers included, and waits 30 seconds."""
    write_config(run, at=3, what='noise', once='reached')
    config = (run / 'tiny.py').read_text().replace('num_workers=0', 'num_workers=2', 1)
    (run / 'tiny.py').write_text(config.replace('max_iters=6', 'max_iters=100000'))
    process = start(run, processes=2)
    deadline = time.monotonic() + 240
    while not (run / 'reached').exists() and time.monotonic() < deadline:
        assert process.poll() is None, process.communicate()[1][-3000:]
        time.sleep(0.05)
    time.sleep(1)
    process.send_signal(signal.SIGTERM)
    begin = time.monotonic()
    out, err = process.communicate(timeout=240)
    assert time.monotonic() - begin < 35
    (name,) = checkpoints(run / 'run')
    done = int(re.sub(r'\D', '', name))
    assert done > 3 and f'SIGTERM: the run ends after iteration {done}, saved as' in out, err[
        -3000:
    ]
    assert torch.load(run / 'run' / name, weights_only=True)['meta']['iter'] == done
