"""Runs that would hang: data workers that give nothing, shared memory that is full, a step without end."""

from __future__ import annotations

import gc
import multiprocessing
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.structures import PixelData
from mmseg.structures import SegDataSample
from tiny_run import (
    HERE,
    ROOT,
    checkpoints,
    end_workers,
    make_run,
    start,
    test,
    train,
    write_config,
)

from mmseg_ccdistill.engine import shared_memory
from mmseg_ccdistill.engine.hooks import LoadingLimitHook, SafeStopHook
from mmseg_ccdistill.engine.shared_memory import check_shared_memory, shared_bytes
from mmseg_ccdistill.runtime.run_errors import ending_of

_WORKERS = ['train_dataloader.num_workers=2', 'train_dataloader.persistent_workers=True']
# A transform that never comes back in a data worker, once the file ``stuck`` is there.
_STUCK = """
import time
from pathlib import Path

from mmseg.registry import TRANSFORMS
from torch.utils.data import get_worker_info


@TRANSFORMS.register_module(force=True)
class Stuck:
    def __call__(self, results):
        while get_worker_info() is not None and Path('stuck').exists():
            time.sleep(0.05)
        return results
"""


@pytest.fixture
def run(tmp_path, monkeypatch) -> Iterator[Path]:
    """A folder with data and ``tiny.py`` as the working directory."""
    monkeypatch.chdir(make_run(tmp_path))
    for name in ('RANK', 'WORLD_SIZE', 'LOCAL_RANK', 'TORCHELASTIC_RUN_ID', 'SLURM_PROCID'):
        monkeypatch.delenv(name, raising=False)
    yield tmp_path
    end_workers()


def change(run: Path, *replacements: tuple[str, str]) -> None:
    """Edit ``tiny.py``."""
    text = (run / 'tiny.py').read_text()
    for old, new in replacements:
        assert old in text, old
        text = text.replace(old, new)
    (run / 'tiny.py').write_text(text)


def make_stuck(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Put ``Stuck`` into the pipelines."""
    (run / 'stuck_transform.py').write_text(_STUCK)
    monkeypatch.syspath_prepend(run)
    sys.modules.pop('stuck_transform', None)
    change(
        run,
        ("'provoke'", "'provoke', 'stuck_transform'"),
        ("type='LoadAnnotations')]", "type='LoadAnnotations'), dict(type='Stuck')]"),
    )


def sentence(err: str) -> str:
    """The one sentence with which a run has ended."""
    found = [line for line in err.splitlines() if line.startswith('error: ')]
    assert len(found) == 1 and 'Traceback' not in err, err[-3000:]
    return found[0]


# Data workers that give nothing.


def test_workers_that_give_nothing_end_the_run_saved_with_a_sentence(
    run, monkeypatch, capfd
) -> None:
    make_stuck(run, monkeypatch)
    change(run, ("dict(type='Provoke', )", "dict(type='Provoke', at=2, what='stuck')"))
    begin = time.monotonic()
    # Enough for the batches that the workers have prepared before.
    options = [*_WORKERS, 'train_cfg.max_iters=20', 'train_dataloader.timeout=3.5']
    assert train(monkeypatch, '--cfg-options', *options) == 1
    seconds = time.monotonic() - begin
    text = sentence(capfd.readouterr().err)
    done = int(re.sub(r'\D', '', checkpoints(run / 'run')[0]))
    assert 2 <= done < 20 and seconds < 200
    assert re.fullmatch(
        r'error: The 2 data workers have given no batch for 3\.5 s, as happens when shared memory runs '
        r'out or the storage does not answer; .* are free; give the container more shared memory '
        r'\(docker run --shm-size=8g\), use fewer train_dataloader\.num_workers or, for slow storage, '
        rf'raise train_dataloader\.timeout; the run ends after iteration {done}, saved as '
        rf'.*iter_{done}\.pth; continue with: python .* --resume',
        text,
    ), text
    gc.collect()  # upstream's loop keeps its iterator until it is collected itself
    for child in multiprocessing.active_children():
        child.join(30)
    assert multiprocessing.active_children() == []


def test_a_slow_batch_is_waited_for(run, monkeypatch) -> None:
    """Torch is asked at intervals; the limit is that of one batch."""
    from mmseg_ccdistill.runtime import train_batches

    monkeypatch.setattr(train_batches, '_POLL_SECONDS', 0.05)
    make_stuck(run, monkeypatch)
    source = (run / 'stuck_transform.py').read_text()
    slow = source.replace('while get_worker_info() is not None and', 'if get_worker_info() or')
    slow = slow.replace('sleep(0.05)', 'sleep(0.2)')
    assert slow != source
    (run / 'stuck_transform.py').write_text(slow)
    assert train(monkeypatch, '--cfg-options', *_WORKERS, 'train_cfg.max_iters=3') == 0


@pytest.mark.slow
def test_a_killed_worker_is_found_at_once_whatever_the_limit(run, monkeypatch, capfd) -> None:
    write_config(run, at=3, what='worker SIGKILL')
    begin = time.monotonic()
    assert train(monkeypatch, '--cfg-options', *_WORKERS, 'train_dataloader.timeout=500') == 1
    assert time.monotonic() - begin < 60
    assert 'was killed by SIGKILL' in sentence(capfd.readouterr().err)


@pytest.mark.slow
def test_a_test_whose_workers_give_nothing_ends(run, monkeypatch, capfd) -> None:
    assert train(monkeypatch, '--cfg-options', 'train_cfg.max_iters=1') == 0
    make_stuck(run, monkeypatch)
    (run / 'stuck').touch()
    capfd.readouterr()
    code = test(
        monkeypatch, 'run/iter_1.pth', '--cfg-options', 'test_dataloader.num_workers=1',
        'test_dataloader.timeout=1',
    )  # fmt: skip
    assert code == 1
    assert 'The data workers have given no batch for 1 s, as' in sentence(capfd.readouterr().err)
    (run / 'stuck').unlink()


def test_the_limits_of_the_loaders() -> None:
    """The config's own timeout counts; a loader without workers, which torch gives none, has none."""
    hook = LoadingLimitHook()
    for workers, timeout, expected in ((2, 0, 300.0), (2, 7, 7), (0, 0, 0)):
        loader = torch.utils.data.DataLoader([1], num_workers=workers, timeout=timeout)
        loop = SimpleNamespace(dataloader=loader)
        hook.before_val(SimpleNamespace(val_loop=loop))
        assert loader.timeout == expected
        hook.before_test(SimpleNamespace(test_loop=loop))
        assert loader.timeout == expected
    with pytest.raises(ValueError, match='seconds must be positive, got 0'):
        LoadingLimitHook(seconds=0)


def test_the_sentence_of_a_loop_without_hooks() -> None:
    ending = ending_of(RuntimeError('DataLoader timed out after 300.0 seconds'))
    assert ending is not None and ending[1] == 1
    assert ending[0].startswith('The data workers have given no batch for 300 s, as happens when')
    assert ending[0].endswith('raise train_dataloader.timeout; then run it again.')


# Shared memory.


def test_the_bytes_of_a_sample_in_shared_memory() -> None:
    label = PixelData(data=torch.zeros(1, 64, 64, dtype=torch.int64))  # 32768 bytes, 8 pages
    sample = SegDataSample(gt_sem_seg=label, metainfo=dict(img_shape=(64, 64)))
    image = torch.zeros(3, 64, 64, dtype=torch.uint8)  # 12288 bytes, 3 pages
    page = os.sysconf('SC_PAGE_SIZE')
    assert page == 4096
    expected = 12288 + 32768 + 4096  # a tensor of one number takes a page
    parts = dict(inputs=[image, image], data_samples=sample, number=torch.ones(()))
    assert shared_bytes(parts) == expected  # the image once
    assert shared_bytes(np.zeros(9999)) == 0


def _config(run: Path, *replacements: tuple[str, str]) -> Config:
    change(run, *replacements)
    return Config.fromfile(str(run / 'tiny.py'))


@pytest.mark.skipif(not Path('/dev/shm').is_dir(), reason='Linux only')
@pytest.mark.parametrize('processes', [1, 4])
def test_batches_that_do_not_fit_are_refused_with_the_fix(run, monkeypatch, processes) -> None:
    # An image takes 48*64*3 = 9216 bytes, 3 pages, its label as int64 24576 bytes, 6 pages.
    sample = 9 * 4096
    batches = 3 * 2 + 1, 1 * 5 + 1
    need = processes * (batches[0] * 2 * sample + batches[1] * sample)
    config = _config(
        run, ('    batch_size=2,\n    num_workers=0,', '    batch_size=2,\n    num_workers=3,'),
        ('    batch_size=1,\n    num_workers=0,', '    batch_size=1,\n    num_workers=1, prefetch_factor=5,'),
    )  # fmt: skip
    monkeypatch.setattr('sys.argv', ['train.py', '--launcher', 'pytorch'])
    for name, value in dict(RANK=0, WORLD_SIZE=8, LOCAL_RANK=0, LOCAL_WORLD_SIZE=processes).items():
        monkeypatch.setenv(name, str(value))
    free = need
    monkeypatch.setattr(shared_memory.shutil, 'disk_usage', lambda _: SimpleNamespace(free=free))
    loaders = ['train_dataloader', 'val_dataloader']
    check_shared_memory(config, loaders)
    free = need - 1
    among = ' in 4 processes' if processes == 4 else ''
    with pytest.raises(ValueError) as caught:
        check_shared_memory(config, loaders)
    assert str(caught.value) == (
        'train_dataloader (3 workers x 2 batches of 0.1 MB) and val_dataloader (1 workers x 5 batches '
        f'of 0.0 MB) will hold {need / 1e6:.0f} MB in /dev/shm{among}, where {free / 1e6:.0f} MB are free: '
        'expected room for all batches, else the run hangs; give the container more (docker run '
        '--shm-size=1g) or lower train_dataloader.num_workers'
    )
    monkeypatch.setenv('LOCAL_RANK', '1')  # the first process of the node speaks for all
    check_shared_memory(config, loaders)


def test_loaders_without_workers_need_no_shared_memory(run, monkeypatch) -> None:
    monkeypatch.setattr(shared_memory.shutil, 'disk_usage', lambda _: SimpleNamespace(free=0))
    check_shared_memory(Config.fromfile('tiny.py'), ['train_dataloader', 'val_dataloader'])


def test_a_sample_that_cannot_be_read_is_left_to_the_check_of_the_files(
    run, monkeypatch, capfd
) -> None:
    (run / 'data/images/3.png').write_bytes(bytes(200))
    assert train(monkeypatch, '--cfg-options', *_WORKERS, 'val_dataloader.num_workers=1') == 2
    assert "'" + str(run / 'data/images/3.png') + "'" in sentence(capfd.readouterr().err)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != 'linux', reason='Linux only')
def test_a_small_dev_shm_is_named_before_the_run_hangs(run) -> None:
    """The real thing: a mount of 64 kB in a namespace of its own, as a container has 64 MB."""
    change(run, ('num_workers=0', 'num_workers=2'))
    tool = f'{sys.executable} {ROOT / "tools/train.py"} tiny.py --work-dir run'
    inside = f'mount -t tmpfs -o size=64k tmpfs /dev/shm && {tool}'
    if subprocess.run(['unshare', '-m', 'true'], capture_output=True).returncode:
        pytest.skip('no right to mount')
    env = dict(os.environ, PYTHONPATH=f'{ROOT}{os.pathsep}{HERE}', OMP_NUM_THREADS='1')
    result = subprocess.run(
        ['unshare', '-m', 'sh', '-c', inside],
        cwd=run, env=env, capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert result.returncode == 2
    assert re.match(
        r'error: train_dataloader \(2 workers x 2 batches of 0\.1 MB\) and val_dataloader .* /dev/shm, '
        r'where 0 MB are free: .* --shm-size=1g',
        sentence(result.stderr),
    )


# An iteration that does not end.


def _hang(run: Path, seconds: float) -> subprocess.Popen[str]:
    """Start a run that hangs in a call of C in iteration 2, and wait until it does."""
    write_config(run, at=2, what='hang', once='hanging')
    change(
        run,
        ('dict(interval=100)', f'dict(interval=100), safe_stop=dict(stop_timeout={seconds})'),
        ('num_workers=0', 'num_workers=1'),
    )  # fmt: skip
    process = start(run)
    deadline = time.monotonic() + 300
    while not (run / 'hanging').exists() and time.monotonic() < deadline:
        assert process.poll() is None, process.communicate()[1][-3000:]
        time.sleep(0.05)
    time.sleep(0.5)
    return process


@pytest.mark.parametrize(
    ('name', 'code'),
    [('SIGTERM', 143), pytest.param('SIGINT', 130, marks=pytest.mark.slow)],
)
def test_an_iteration_that_does_not_end_after_a_signal_ends_the_run(run, name, code) -> None:
    process = _hang(run, 2)
    begin = time.monotonic()
    process.send_signal(getattr(signal, name))
    _, err = process.communicate(timeout=300)
    seconds = time.monotonic() - begin
    assert process.returncode == code and seconds > 1.9
    text = sentence(err)
    assert re.fullmatch(
        rf'error: {name}: the iteration has not ended within \d+ s, so the run ends without saving; '
        r'continue from the latest checkpoint with: python .*train\.py tiny\.py --work-dir run --resume',
        text,
    ), text


def test_the_patience_after_a_signal() -> None:
    """Below the 30 s of torchrun, but never shorter than three of the iterations that there were."""
    hook = SafeStopHook()
    assert hook.stop_timeout == 20 and hook._patience() == 20
    hook._longest = 50.0
    assert hook._patience() == 150
    with pytest.raises(ValueError, match='stop_timeout must be positive, got -1'):
        SafeStopHook(stop_timeout=-1)
