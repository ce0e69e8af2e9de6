from __future__ import annotations

import resource
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from mmengine.evaluator import Evaluator
from mmengine.hooks import Hook
from mmengine.model import BaseModel
from mmengine.runner import Runner
from torch import nn

from mmseg_ccdistill.engine.hooks import AtomicCheckpointHook
from mmseg_ccdistill.errors import RunError
from mmseg_ccdistill.runtime import atomic_file, checkpoint_io
from mmseg_ccdistill.runtime.checkpoint_file import OWN_KEY, verify_checkpoint


class Net(BaseModel):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(2, 1)

    def forward(self, inputs: list[torch.Tensor], mode: str = 'loss') -> Any:
        value = self.layer(torch.stack(list(inputs))).mean()
        return dict(loss=value) if mode == 'loss' else [value]


class Score(Evaluator):
    """An evaluator whose results are given."""

    def __init__(self, scores: list[float]) -> None:
        super().__init__(metrics=[])
        self.scores = iter(scores)

    def process(self, *args: Any, **kwargs: Any) -> None:
        pass

    def evaluate(self, size: int) -> dict[str, float]:
        return {'mIoU': next(self.scores)}


def runner(
    folder: Path, iterations: int = 6, scores: list[float] | None = None, **options: Any
) -> Runner:
    torch.manual_seed(0)
    loader = dict(
        dataset=[dict(inputs=torch.ones(2))] * 4,
        sampler=dict(type='InfiniteSampler', shuffle=False),
        batch_size=2,
        num_workers=0,
    )
    validation: dict[str, Any] = {}
    if scores is not None:
        val = dict(loader, sampler=dict(type='DefaultSampler', shuffle=False))
        validation = dict(val_dataloader=val, val_cfg=dict(), val_evaluator=Score(scores))
    hook = dict(type=AtomicCheckpointHook, interval=2, by_epoch=False, max_keep_ckpts=2, **options)
    return Runner(
        model=Net(),
        work_dir=str(folder),
        train_dataloader=loader,
        optim_wrapper=dict(optimizer=dict(type='SGD', lr=0.1, momentum=0.9)),
        train_cfg=dict(type='IterBasedTrainLoop', max_iters=iterations, val_interval=2),
        default_hooks=dict(checkpoint=hook),
        experiment_name=f'{folder.name}_{torch.randint(10**9, ()).item()}_{len(list(folder.iterdir()))}',
        randomness=dict(seed=0),
        **validation,
    )


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if path.suffix == '.pth')


def test_files_are_written_before_any_is_deleted(tmp_path: Path, monkeypatch) -> None:
    """At each step there are good checkpoints: the two that are kept, or all until the next is whole."""
    seen: list[tuple[str, list[str]]] = []

    def look(step: str) -> None:
        for path in tmp_path.glob('*.pth'):
            verify_checkpoint(path)
        seen.append((step, names(tmp_path)))

    monkeypatch.setattr(atomic_file, 'fault_point', look)
    runner(tmp_path).train()
    assert names(tmp_path) == ['iter_4.pth', 'iter_6.pth']
    assert (tmp_path / 'last_checkpoint').read_text() == str(tmp_path / 'iter_6.pth')
    at_deletion = [files for step, files in seen if step == 'deleting']
    assert at_deletion == [['iter_2.pth', 'iter_4.pth', 'iter_6.pth']]
    assert not list(tmp_path.glob('*.unfinished'))


@contextmanager
def full_disk(limit: int) -> Iterator[None]:
    """A limit on the size of a file: the write ends in the middle, as on a full disk."""
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)


class FullDiskHook(Hook):
    """Makes the disk full while iterations ``full`` save."""

    priority = 'ABOVE_NORMAL'

    def __init__(self, full: set[int]) -> None:
        self.full = full
        self.context: Any = None

    def after_train_iter(self, runner: Runner, *args: Any, **kwargs: Any) -> None:
        if runner.iter + 1 in self.full:
            self.context = full_disk(1000)
            self.context.__enter__()

    def before_train_iter(self, runner: Runner, *args: Any, **kwargs: Any) -> None:
        self.close()

    def after_train(self, runner: Runner) -> None:
        self.close()

    def close(self) -> None:
        if self.context is not None:
            self.context.__exit__(None, None, None)
            self.context = None


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    texts: list[str] = []
    module = 'mmseg_ccdistill.engine.hooks.atomic_checkpoint_hook'
    monkeypatch.setattr(f'{module}.print_log', lambda text, *args: texts.append(text))
    monkeypatch.setattr(f'{module}.warn', texts.append)
    return texts


def test_a_full_disk_keeps_the_old_files_and_is_tried_again(tmp_path: Path, said) -> None:
    run = runner(tmp_path, iterations=8)
    run.register_hook(FullDiskHook({4, 6}))
    run.train()
    assert names(tmp_path) == ['iter_2.pth', 'iter_8.pth']
    assert [text.split(' ')[0] for text in said] == ['iter_4.pth', 'iter_6.pth']
    assert 'could not be written' in said[0] and 'File too large' in said[0]
    assert 'the older checkpoints are kept, and the next interval tries again' in said[0]
    saved = torch.load(tmp_path / 'iter_8.pth', weights_only=True)
    assert saved['message_hub']['runtime_info']['keep_ckpt_ids'] == [2, 8]


def test_a_run_whose_last_state_is_in_no_file_ends_with_an_error(tmp_path: Path, said) -> None:
    run = runner(tmp_path, iterations=4)
    run.register_hook(FullDiskHook({4}))
    with pytest.raises(RunError, match='its last checkpoint was not written .*File too large'):
        run.train()
    assert names(tmp_path) == ['iter_2.pth']
    assert (tmp_path / 'last_checkpoint').read_text() == str(tmp_path / 'iter_2.pth')


def test_the_best_checkpoint_replaces_the_one_before_when_it_is_whole(
    tmp_path: Path, monkeypatch
) -> None:
    seen = []

    def look(step: str) -> None:
        seen.append((step, [name for name in names(tmp_path) if name.startswith('best')]))

    monkeypatch.setattr(atomic_file, 'fault_point', look)
    runner(tmp_path, scores=[0.3, 0.2, 0.4], save_best='mIoU').train()
    assert names(tmp_path) == ['best_mIoU_iter_6.pth', 'iter_4.pth', 'iter_6.pth']
    both = ['best_mIoU_iter_2.pth', 'best_mIoU_iter_6.pth']
    assert ('deleting', both) in seen and ('deleting', both[:1]) in seen  # iter_2 went before
    saved = torch.load(tmp_path / 'iter_6.pth', weights_only=True)
    info = saved['message_hub']['runtime_info']
    assert (info['best_score'], info['best_ckpt']) == (0.4, str(tmp_path / both[1]))


def test_a_best_checkpoint_that_cannot_be_written_is_forgotten(
    tmp_path: Path, monkeypatch, said
) -> None:
    """The score stays that of the file that is there, and the next better one is saved."""
    put = checkpoint_io.AtomicBackend.put

    def full(self: Any, obj: bytes, filepath: str) -> None:
        if 'best_mIoU_iter_4' in str(filepath):
            raise OSError(28, 'No space left on device')
        put(self, obj, filepath)

    monkeypatch.setattr(checkpoint_io.AtomicBackend, 'put', full)
    runner(tmp_path, scores=[0.3, 0.5, 0.4], save_best='mIoU').train()
    assert names(tmp_path) == ['best_mIoU_iter_6.pth', 'iter_4.pth', 'iter_6.pth']
    assert len(said) == 1 and said[0].startswith('the best checkpoint could not be written')


def test_leftovers_of_a_kill_are_cleared_and_the_surplus_is_deleted(tmp_path: Path, said) -> None:
    """As if the run had died after iter_6 was in place and before iter_2 was deleted."""
    runner(tmp_path, iterations=4).train()
    kept = (tmp_path / 'iter_2.pth').read_bytes()
    runner_of_6 = runner(tmp_path, iterations=6)
    runner_of_6.resume(str(tmp_path / 'iter_4.pth'))
    runner_of_6.train()
    (tmp_path / 'iter_2.pth').write_bytes(kept)
    (tmp_path / 'iter_8.pth.unfinished').write_bytes(b'half')

    run = runner(tmp_path, iterations=8)
    run.resume(str(tmp_path / 'iter_6.pth'))
    assert run.message_hub.get_info('keep_ckpt_ids') == [2, 4, 6]
    run.train()
    assert names(tmp_path) == ['iter_6.pth', 'iter_8.pth']
    assert any('iter_8.pth.unfinished, left by an interrupted write' in text for text in said)


def test_a_file_is_marked_and_the_log_comes_back(tmp_path: Path) -> None:
    runner(tmp_path, iterations=4).train()
    saved = torch.load(tmp_path / 'iter_4.pth', weights_only=True)
    assert OWN_KEY in saved['meta']
    run = runner(tmp_path, iterations=4)
    run.resume(str(tmp_path / 'iter_4.pth'))
    assert len(run.message_hub.get_scalar('train/loss').data[0]) == 4


def test_every_rank_takes_over_the_saved_buffers(tmp_path: Path, monkeypatch) -> None:
    shared: list[torch.Tensor] = []
    module = 'mmseg_ccdistill.engine.hooks.atomic_checkpoint_hook'
    monkeypatch.setattr(f'{module}.broadcast', shared.append)
    run = runner(tmp_path, iterations=2)
    run.model.register_buffer('statistics', torch.ones(3))
    run.train()
    assert len(shared) == 1 and shared[0] is run.model.statistics


def test_a_remote_folder_is_left_to_its_backend() -> None:
    hook = AtomicCheckpointHook(interval=1, backend_args=dict(backend='petrel'))
    assert hook.backend_args == dict(backend='petrel')


@pytest.mark.parametrize('bad', [float('inf'), float('nan')])
def test_a_score_that_is_not_finite_is_never_the_best(tmp_path: Path, bad: float) -> None:
    """An infinite one would beat every later score."""
    run = runner(tmp_path, scores=[0.3, bad, 0.4], save_best='mIoU')
    run.train()
    assert run.message_hub.get_info('best_score') == 0.4
    (tmp_path / 'first').mkdir()
    run = runner(tmp_path / 'first', scores=[bad, 0.3, 0.2], save_best='mIoU')
    run.train()
    assert run.message_hub.get_info('best_score') == 0.3
