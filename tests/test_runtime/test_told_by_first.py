"""Which checkpoint resumes is found out by the first process, and told to the others."""

from __future__ import annotations

import datetime
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from torch import distributed as torch_dist

from mmseg_ccdistill.errors import UserInputError
from mmseg_ccdistill.runtime import resume, start_together
from mmseg_ccdistill.runtime.ranks import Process
from mmseg_ccdistill.runtime.resume import ResumeChoice, resume_last_checkpoint
from mmseg_ccdistill.runtime.start_together import OtherRankError

FIRST, SECOND = Process(0, 2), Process(1, 2, 1)


@pytest.fixture
def verified(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[list[Path]]:
    """A store for two processes in this one, and the folders that were looked through."""
    store = torch_dist.TCPStore('127.0.0.1', 0, 1, True, datetime.timedelta(seconds=20))
    monkeypatch.setenv('MASTER_ADDR', '127.0.0.1')
    monkeypatch.setattr(start_together, '_store', store)
    monkeypatch.setattr(start_together, '_is_over', False)
    seen: list[Path] = []

    def choose(work_dir: str) -> ResumeChoice:
        seen.append(Path(work_dir))
        return ResumeChoice(Path(work_dir) / 'iter_4.pth', [])

    monkeypatch.setattr(resume, 'newest_good_checkpoint', choose)
    yield seen
    del store


def test_the_first_looks_and_the_others_are_told(verified: list[Path], tmp_path: Path) -> None:
    configs = [Config(dict(work_dir=str(tmp_path))) for _ in range(2)]
    second = threading.Thread(target=resume_last_checkpoint, args=(configs[1], SECOND))
    second.start()  # it waits for the first
    resume_last_checkpoint(configs[0], FIRST)
    second.join(20)
    assert not second.is_alive()
    assert verified == [tmp_path]
    for config in configs:
        assert (config.resume, config.load_from) == (True, str(tmp_path / 'iter_4.pth'))


def test_a_single_process_asks_nobody(
    verified: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(start_together, '_open_store', None)
    resume_last_checkpoint(Config(dict(work_dir=str(tmp_path))))
    assert verified == [tmp_path]


def test_the_others_end_with_the_sentence_of_the_first(
    verified: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resume, 'newest_good_checkpoint', lambda _: ResumeChoice(None, []))
    monkeypatch.setattr(start_together, '_FAREWELL_SECONDS', 0.0)
    config = Config(dict(work_dir=str(tmp_path)))
    with pytest.raises(UserInputError) as raised:
        resume_last_checkpoint(config, FIRST)
    start_together.end_together(FIRST, raised.value, str(raised.value))
    monkeypatch.setattr(start_together, '_is_over', False)  # the second process has its own
    with pytest.raises(OtherRankError) as told:
        resume_last_checkpoint(config, SECOND)
    assert str(told.value) == f'rank 0 reported an error: {raised.value}'
    assert str(raised.value).startswith(f'--resume found nothing to resume in {str(tmp_path)!r}: ')


def test_a_failure_of_the_choice_leaves_nobody_waiting() -> None:
    def fail() -> ResumeChoice:
        raise OSError('the disk is gone')

    assert resume.agreed_choice(fail) == ResumeChoice(None, ['the disk is gone'])
    assert torch.distributed.is_initialized() is False
