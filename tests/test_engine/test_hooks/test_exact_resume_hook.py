from __future__ import annotations

import random
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from mmengine.dataset import InfiniteSampler
from mmengine.runner import IterBasedTrainLoop
from torch.utils.data import DataLoader

from mmseg_ccdistill.datasets import DrawSampler
from mmseg_ccdistill.engine.hooks import ExactResumeHook
from mmseg_ccdistill.runtime.checkpoint_file import OWN_KEY
from mmseg_ccdistill.runtime.train_batches import PositionedBatches


def runner(work_dir: Path, iteration: int = 0, seed: int = 0, **more: Any) -> Any:
    defaults = dict(_resume=True, _load_from=None, max_iters=100)
    return SimpleNamespace(
        work_dir=str(work_dir), iter=iteration, seed=seed, **{**defaults, **more}
    )


def save(path: Path, iteration: int) -> Path:
    meta = {'iter': iteration, 'time': f'20240101_0000{iteration:02d}', OWN_KEY: '0'}
    torch.save(dict(meta=meta, state_dict={}, message_hub={}), path)
    return path


def draws() -> list[float]:
    return [random.random(), np.random.random(), torch.rand(()).item()]


def test_every_step_has_its_own_numbers_whatever_was_drawn_before(tmp_path: Path) -> None:
    hook = ExactResumeHook()
    seen = []
    for iteration in (0, 1, 2, 1):
        hook.before_train_iter(runner(tmp_path, iteration), iteration)
        seen.append(draws())
        torch.rand(iteration + 5)
    assert seen[1] == seen[3] and len({tuple(s) for s in seen}) == 3
    hook.before_train_iter(runner(tmp_path, 1, seed=1), 1)
    assert draws() != seen[1]


def test_processes_draw_different_numbers(tmp_path: Path, monkeypatch) -> None:
    values = []
    for rank in (0, 1):
        monkeypatch.setattr(
            'mmseg_ccdistill.engine.hooks.exact_resume_hook.get_rank', lambda rank=rank: rank
        )
        ExactResumeHook().before_train_iter(runner(tmp_path, 3), 3)
        values.append(draws())
    assert values[0] != values[1]


def test_stock_resume_takes_the_newest_whole_file_and_not_load_from(tmp_path: Path) -> None:
    save(tmp_path / 'iter_2.pth', 2)
    save(tmp_path / 'iter_4.pth', 4).write_bytes(b'PK cut short')
    for load_from in (None, '/elsewhere/source_only.pth'):
        run = runner(tmp_path, _load_from=load_from)
        ExactResumeHook().before_run(run)
        assert run._load_from == str(tmp_path / 'iter_2.pth') and run._resume is True


def test_a_checkpoint_of_the_work_dir_that_the_user_names_is_kept(tmp_path: Path) -> None:
    save(tmp_path / 'iter_4.pth', 4)
    run = runner(tmp_path, _load_from=str(save(tmp_path / 'iter_2.pth', 2)))
    ExactResumeHook().before_run(run)
    assert run._load_from == str(tmp_path / 'iter_2.pth')


def test_without_resume_or_checkpoints_nothing_is_changed(tmp_path: Path) -> None:
    run = runner(tmp_path, _load_from='source.pth')
    ExactResumeHook().before_run(run)
    assert (run._resume, run._load_from) == (True, 'source.pth')  # mmengine's contract
    save(tmp_path / 'iter_2.pth', 2)
    run = runner(tmp_path, _resume=False, _load_from='source.pth')
    ExactResumeHook().before_run(run)
    assert run._load_from == 'source.pth'


def test_only_damaged_files_stop_the_run(tmp_path: Path) -> None:
    (tmp_path / 'iter_2.pth').touch()
    with pytest.raises(ValueError, match='nothing to resume from: .*iter_2.pth'):
        ExactResumeHook().before_run(runner(tmp_path))


class Loop(IterBasedTrainLoop):
    """A loop that has only what the hook looks at."""

    def __init__(self, loader: DataLoader, batches: Any) -> None:
        self.loader = loader
        self.dataloader_iterator = batches

    @property
    def dataloader(self) -> DataLoader:
        return self.loader

    @dataloader.setter
    def dataloader(self, loader: DataLoader) -> None:
        self.loader = loader


class Indices(list):
    def __getitem__(self, index: Any) -> int:
        return index.number


def test_the_sampler_is_set_to_the_first_unseen_sample(tmp_path: Path) -> None:
    """Both loops: the one that skips by itself, and the one that takes what was trained on."""
    for knows_skipping in (True, False):
        data = Indices(range(7))
        loader: Any = DataLoader(data, batch_size=2, sampler=DrawSampler(data, seed=0))
        before = iter(loader)
        batches = SimpleNamespace(skip_iter=None) if knows_skipping else before
        loop = Loop(loader, batches)
        run = runner(tmp_path, 5, train_loop=loop)
        hook = ExactResumeHook()
        hook._seed = 0
        hook.before_train(run)
        if knows_skipping:
            assert loop.dataloader_iterator is batches
            taken = next(iter(loader))
        else:
            assert isinstance(loop.dataloader_iterator, PositionedBatches)
            assert [next(loop.dataloader_iterator) for _ in range(5)] == [None] * 5
            taken = next(loop.dataloader_iterator)
        assert taken.tolist() == [10, 11]


def test_the_seed_of_the_checkpoint_reaches_the_sampler(tmp_path: Path) -> None:
    """A run without a seed in its config draws one; mmengine resumes with the saved one."""
    data = Indices(range(7))
    for own, expected in ((3, 9), (4, 4)):  # a seed that the user gave to the sampler stays
        loader: Any = DataLoader(data, batch_size=2, sampler=DrawSampler(data, seed=own))
        hook = ExactResumeHook()
        hook._seed = 3
        loop = Loop(loader, SimpleNamespace(skip_iter=None))
        hook.before_train(runner(tmp_path, 1, seed=9, train_loop=loop))
        assert loader.sampler.seed == expected


def test_other_samplers_are_left_to_mmengine(tmp_path: Path) -> None:
    loader: Any = DataLoader([1, 2, 3], batch_size=2)
    loop = Loop(loader, iter(loader))
    ExactResumeHook().before_train(runner(tmp_path, 3, train_loop=loop))
    assert not isinstance(loop.dataloader_iterator, PositionedBatches)
    if not hasattr(InfiniteSampler, 'skip'):  # upstream
        loader = DataLoader([1, 2, 3], batch_size=2, sampler=InfiniteSampler([1, 2, 3], seed=0))
        loop = Loop(loader, iter(loader))
        ExactResumeHook().before_train(runner(tmp_path, 3, train_loop=loop))
        assert not isinstance(loop.dataloader_iterator, PositionedBatches)
