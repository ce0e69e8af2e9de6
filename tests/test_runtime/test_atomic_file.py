from __future__ import annotations

import errno
import os
import signal
from pathlib import Path

import pytest

from mmseg_ccdistill.runtime import atomic_file
from mmseg_ccdistill.runtime.atomic_file import (
    FileNotWrittenError,
    remove_unfinished,
    write_atomically,
)

STEPS = [
    'space checked', 'writing', 'writing', 'writing', 'written', 'synced', 'verified',
    'renamed', 'folder synced',
]  # fmt: skip
OLD, NEW = b'old' * 10, b'new' * 1000


@pytest.fixture
def steps(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the steps as they are taken."""
    taken: list[str] = []
    monkeypatch.setattr(atomic_file, 'fault_point', taken.append)
    monkeypatch.setattr(atomic_file, '_CHUNK', 1000)
    return taken


def test_steps_of_a_write(tmp_path: Path, steps: list[str], monkeypatch) -> None:
    """Synchronised before the rename, and the folder after it."""
    synced: list[str] = []

    def fsync(descriptor: int) -> None:
        synced.append(f'{Path(os.readlink(f"/proc/self/fd/{descriptor}")).name} {len(steps)}')

    monkeypatch.setattr(os, 'fsync', fsync)
    path = tmp_path / 'a.pth'
    path.write_bytes(OLD)
    seen: list[Path] = []

    def verify(draft: Path) -> None:
        assert draft.read_bytes() == NEW and path.read_bytes() == OLD
        seen.append(draft)

    write_atomically(path, NEW, verify)

    assert steps == STEPS and path.read_bytes() == NEW
    assert seen == [tmp_path / 'a.pth.unfinished'] and os.listdir(tmp_path) == ['a.pth']
    assert synced == ['a.pth.unfinished 5', f'{tmp_path.name} 8']


@pytest.mark.parametrize('number', range(len(STEPS)))
def test_a_kill_at_any_step_leaves_the_old_file_or_the_new_one(
    tmp_path: Path, monkeypatch, number: int
) -> None:
    path = tmp_path / 'a.pth'
    path.write_bytes(OLD)
    monkeypatch.setattr(atomic_file, '_CHUNK', 1000)
    process = os.fork()
    if not process:
        left = iter(range(number, -1, -1))

        def kill(step: str) -> None:
            if next(left) == 0:
                os.kill(os.getpid(), signal.SIGKILL)

        atomic_file.fault_point = kill
        write_atomically(path, NEW)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]) == -signal.SIGKILL
    is_renamed = number >= STEPS.index('renamed')
    assert path.read_bytes() == (NEW if is_renamed else OLD)
    leftovers = remove_unfinished(tmp_path)
    assert bool(leftovers) == (STEPS.index('writing') <= number < STEPS.index('renamed'))
    write_atomically(path, NEW)
    assert path.read_bytes() == NEW and os.listdir(tmp_path) == ['a.pth']


def _raise(error: Exception) -> None:
    raise error


def test_a_file_that_fails_its_check_is_not_put_in_place(tmp_path: Path) -> None:
    path = tmp_path / 'a.pth'
    path.write_bytes(OLD)
    with pytest.raises(ValueError, match='of no use'):
        write_atomically(path, NEW, lambda draft: _raise(ValueError('of no use')))
    assert path.read_bytes() == OLD and os.listdir(tmp_path) == ['a.pth']


@pytest.mark.parametrize('spoil', [lambda b: b[:-1], lambda b: b + b'x', lambda b: b'\0' + b[1:]])
def test_a_device_that_loses_bytes_is_found_out(tmp_path: Path, monkeypatch, spoil) -> None:
    def step(name: str) -> None:
        if name == 'synced':
            draft = tmp_path / 'a.pth.unfinished'
            draft.write_bytes(spoil(draft.read_bytes()))

    monkeypatch.setattr(atomic_file, 'fault_point', step)
    with pytest.raises(FileNotWrittenError, match='reads back'):
        write_atomically(tmp_path / 'a.pth', NEW)
    assert os.listdir(tmp_path) == []


def test_too_little_space_is_seen_before_writing(tmp_path: Path, monkeypatch, steps) -> None:
    status = os.statvfs(tmp_path)
    few = os.statvfs_result((*status[:4], 3, *status[5:]))  # f_bavail: three blocks
    monkeypatch.setattr(os, 'statvfs', lambda folder: few)
    with pytest.raises(FileNotWrittenError, match='1 MB are needed, 0 MB are free') as caught:
        write_atomically(tmp_path / 'a.pth', bytes(10**6))
    assert caught.value.errno == errno.ENOSPC and steps == [] and os.listdir(tmp_path) == []
