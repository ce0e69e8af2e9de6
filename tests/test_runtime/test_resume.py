from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch
from mmengine.config import Config

from mmseg_ccdistill.errors import UserInputError
from mmseg_ccdistill.runtime.checkpoint_file import OWN_KEY
from mmseg_ccdistill.runtime.resume import (
    keep_earlier_run,
    misplaced_checkpoint,
    newest_good_checkpoint,
    resume_last_checkpoint,
)


def save(path: Path, iteration: int, time: str, **more: object) -> Path:
    path.parent.mkdir(exist_ok=True)
    meta = {'iter': iteration, 'time': time, OWN_KEY: '0'}
    state = {'weight': torch.full((1000,), float(iteration))}
    torch.save(dict(meta=meta, state_dict=state, message_hub={}, **more), path)
    return path


@pytest.fixture
def work_dir(tmp_path: Path) -> Path:
    """iter_10, iter_20, iter_30 and the pointer to the last."""
    for iteration in (10, 20, 30):
        save(tmp_path / f'iter_{iteration}.pth', iteration, f'20240101_00{iteration}00')
    (tmp_path / 'last_checkpoint').write_text(str(tmp_path / 'iter_30.pth'))
    return tmp_path


def test_the_newest_one(work_dir: Path) -> None:
    assert newest_good_checkpoint(work_dir) == (work_dir / 'iter_30.pth', [])


def test_nothing_there(tmp_path: Path) -> None:
    assert newest_good_checkpoint(tmp_path / 'gone') == (None, [])
    (tmp_path / 'notes.txt').touch()
    assert newest_good_checkpoint(tmp_path) == (None, [])


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def zero(path: Path) -> None:
    """A stretch of zeros within the weights, which torch.load takes for weights."""
    content = bytearray(path.read_bytes())
    start = content.index(torch.full((10,), 30.0).numpy().tobytes())
    content[start : start + 400] = bytes(400)
    path.write_bytes(content)


def empty(path: Path) -> None:
    path.write_bytes(b'')


@pytest.mark.parametrize(
    ('spoil', 'reason'),
    [
        (cut, 'iter_30.pth: expected a checkpoint of a training run'),
        (empty, 'iter_30.pth: expected a checkpoint of a training run'),
        (zero, 'iter_30.pth: its bytes are not those that were saved'),
        (Path.unlink, 'iter_30.pth: named by last_checkpoint, does not exist'),
    ],
)
def test_a_spoiled_newest_file_is_skipped_and_named(work_dir: Path, spoil, reason: str) -> None:
    spoil(work_dir / 'iter_30.pth')
    choice = newest_good_checkpoint(work_dir)
    assert choice.checkpoint == work_dir / 'iter_20.pth'
    assert len(choice.skipped) == 1 and reason in choice.skipped[0]
    said = choice.describe()
    assert (
        said.startswith(f'Resuming from {work_dir / "iter_20.pth"}; skipped: ') and reason in said
    )


def test_every_file_spoiled(work_dir: Path) -> None:
    for path in work_dir.glob('*.pth'):
        cut(path)
    choice = newest_good_checkpoint(work_dir)
    assert choice.checkpoint is None and len(choice.skipped) == 3
    assert choice.describe().startswith('No checkpoint is whole; skipped: ')


def test_a_file_finished_just_before_its_name_was_written_down_counts(work_dir: Path) -> None:
    (work_dir / 'last_checkpoint').write_text(str(work_dir / 'iter_20.pth'))
    assert newest_good_checkpoint(work_dir).checkpoint == work_dir / 'iter_30.pth'
    (work_dir / 'last_checkpoint').unlink()
    assert newest_good_checkpoint(work_dir).checkpoint == work_dir / 'iter_30.pth'


def test_an_older_and_longer_run_in_the_same_folder_does_not_win(work_dir: Path) -> None:
    save(work_dir / 'iter_50000.pth', 50000, '20231224_000000')
    assert newest_good_checkpoint(work_dir).checkpoint == work_dir / 'iter_30.pth'


def test_a_copied_or_moved_folder(work_dir: Path, tmp_path_factory) -> None:
    """The pointer still names the old place, where another run may have gone on."""
    copy = tmp_path_factory.mktemp('copy') / 'run'
    shutil.copytree(work_dir, copy, copy_function=shutil.copyfile)
    save(work_dir / 'iter_90.pth', 90, '20240202_000000')
    assert newest_good_checkpoint(copy).checkpoint == copy / 'iter_30.pth'


def test_a_folder_of_its_own_for_checkpoints(tmp_path: Path) -> None:
    """CheckpointHook.out_dir."""
    run, out = tmp_path / 'run', tmp_path / 'out/run'
    run.mkdir()
    out.parent.mkdir()
    for iteration in (10, 20):
        save(out / f'iter_{iteration}.pth', iteration, f'20240101_00{iteration}00')
    (run / 'last_checkpoint').write_text(str(out / 'iter_20.pth'))
    assert newest_good_checkpoint(run).checkpoint == out / 'iter_20.pth'
    cut(out / 'iter_20.pth')
    assert newest_good_checkpoint(run).checkpoint == out / 'iter_10.pth'


def test_files_that_cannot_be_resumed_are_passed_over(work_dir: Path) -> None:
    """The best checkpoint has no optimizer, published weights have no log, a draft is no file yet."""
    save(work_dir / 'best_mIoU_iter_30.pth', 30, '20250101_000000')
    torch.save({'state_dict': {}, OWN_KEY: '0'}, work_dir / 'published-12345678.pth')
    shutil.copy(work_dir / 'iter_30.pth', work_dir / 'iter_40.pth.unfinished')
    assert newest_good_checkpoint(work_dir) == (work_dir / 'iter_30.pth', [])


@pytest.mark.parametrize(
    ('words', 'expected'),
    [
        (
            ['c.py', '--resume', 'runs/a b/iter_4.pth'],
            "--resume takes no value, but 'runs/a b/iter_4.pth' follows it: it continues from the newest whole "
            'checkpoint of the work dir; to continue from this checkpoint leave --resume out and write: '
            "--work-dir 'runs/a b' --cfg-options resume=True 'load_from=runs/a b/iter_4.pth'",
        ),
        (
            ['--resume=iter_4.pth', 'c.py'],
            "--resume takes no value, but 'iter_4.pth' follows it: it continues from the newest whole checkpoint of "
            'the work dir; to continue from this checkpoint leave --resume out and write: '
            '--work-dir . --cfg-options resume=True load_from=iter_4.pth',
        ),
        (
            ['c.py', '--resume', 'run'],
            "--resume takes no value, but 'run' follows it: it continues from the newest whole checkpoint of the work "
            'dir; to continue that run: --resume --work-dir run',
        ),
        (
            ['c.py', '--resume', 'auto'],
            "--resume takes no value, but 'auto' follows it: it continues from the newest whole checkpoint of the work "
            "dir; leave 'auto' out",
        ),
        ([], None),
        (['c.py', '--resume'], None),
        (['--resume', 'c.py', '--amp'], None),
        (['c.py', '--resume', '--cfg-options', 'load_from=a.pth'], None),
    ],
)
def test_a_path_after_resume(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: list[str], expected: str | None
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / 'run').mkdir()
    assert misplaced_checkpoint(words) == expected


def test_resume_in_an_empty_work_dir_says_so(tmp_path) -> None:
    config = Config(dict(work_dir=str(tmp_path / 'run'), load_from=None))
    with pytest.raises(UserInputError, match='nothing to resume in .*run.*--work-dir'):
        resume_last_checkpoint(config)


def _training_checkpoint(path: Path, iteration: int = 20) -> Path:
    meta = dict(iter=iteration, time='20240131_235959')
    torch.save(dict(meta=meta, state_dict={}, message_hub={}, mmseg_ccdistill_version='0'), path)
    return path


def test_resume_takes_the_work_dirs_checkpoint_and_not_load_from(tmp_path) -> None:
    checkpoint = _training_checkpoint(tmp_path / 'iter_20.pth')
    (tmp_path / 'last_checkpoint').write_text(str(checkpoint))
    config = Config(dict(work_dir=str(tmp_path), load_from='source_only.pth', resume=False))

    resume_last_checkpoint(config)

    # mmengine resumes from load_from when that is set, whatever lies in the work dir.
    assert config.resume is True and config.load_from == str(checkpoint)


def test_resume_follows_a_work_dir_that_was_moved(tmp_path) -> None:
    _training_checkpoint(tmp_path / 'iter_20.pth')
    (tmp_path / 'last_checkpoint').write_text('/gone/run/iter_20.pth\n')
    config = Config(dict(work_dir=str(tmp_path)))
    assert resume_last_checkpoint(config) == str(tmp_path / 'iter_20.pth')


def test_resume_without_the_file_that_last_checkpoint_names(tmp_path) -> None:
    (tmp_path / 'last_checkpoint').write_text('/gone/run/iter_20.pth')
    with pytest.raises(UserInputError, match='iter_20.pth.*does not exist'):
        resume_last_checkpoint(Config(dict(work_dir=str(tmp_path))))


def test_a_run_does_not_begin_over_an_earlier_one(
    work_dir: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv('TORCHELASTIC_RESTART_COUNT', raising=False)
    with pytest.raises(UserInputError) as caught:
        keep_earlier_run(Config(dict(work_dir=str(work_dir))))
    assert str(caught.value) == (
        f"the work dir '{work_dir}' holds checkpoints of an earlier run, iter_30.pth the newest: expected none, "
        'because this run would write over them; go on with that run by --resume, name another folder with '
        '--work-dir, or move them away'
    )
    keep_earlier_run(Config(dict(work_dir=str(work_dir), resume=True)))
    keep_earlier_run(Config(dict(work_dir=str(tmp_path_factory.mktemp('new')))))
    monkeypatch.setenv('TORCHELASTIC_RESTART_COUNT', '1')  # RestartHook resumes
    keep_earlier_run(Config(dict(work_dir=str(work_dir))))
    monkeypatch.setenv('TORCHELASTIC_RESTART_COUNT', '0')
    for path in work_dir.glob('*.pth'):
        cut(path)  # nothing to go on with, nothing to lose
    keep_earlier_run(Config(dict(work_dir=str(work_dir))))
