"""Which checkpoint a run resumes from: the newest of its folder that is whole."""

from __future__ import annotations

import os
import shlex
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from mmengine.config import Config
from mmengine.dist import broadcast_object_list, is_main_process

from ..errors import UserInputError
from .checkpoint_file import CheckpointFileError, load_checkpoint_file, verify_checkpoint
from .ranks import Process
from .run_log import warn
from .start_together import told_by_first

#: mmengine's file with the path of the latest checkpoint.
POINTER = 'last_checkpoint'


class ResumeChoice(NamedTuple):
    """What a folder offers for resuming.

    Attributes:
        checkpoint: The newest checkpoint that verifies; None if there is none.
        skipped: One sentence for each newer or unreadable file that does not.
    """

    checkpoint: Path | None
    skipped: list[str]

    def describe(self) -> str:
        """Say which checkpoint is taken and which are not."""
        taken = f'Resuming from {self.checkpoint}' if self.checkpoint else 'No checkpoint is whole'
        return taken + ''.join(f'; skipped: {reason.rstrip(".")}' for reason in self.skipped)


def newest_good_checkpoint(work_dir: str | Path) -> ResumeChoice:
    """Find the checkpoint to resume from.

    Newest is by the time written inside the files, then by their iteration: a copy of the folder
    keeps the order, an older and longer run in the same folder does not win, and a checkpoint that
    was finished just before its name reached ``last_checkpoint`` counts. mmengine's ``best_*`` files
    hold no optimizer and count only if ``last_checkpoint`` names them.

    Returns:
        The choice. Files that are no training checkpoints are passed over in silence.
    """
    files, skipped = _candidates(Path(work_dir))
    dated: list[tuple[tuple[str, int], Path]] = []
    for file in files:
        try:
            age = _age(load_checkpoint_file(file, mmap=True))
        except CheckpointFileError as error:
            skipped.append(str(error))
        else:
            if age is not None:
                dated.append((age, file))
    for _, file in sorted(dated, reverse=True):
        try:
            verify_checkpoint(file)
        except CheckpointFileError as error:
            skipped.append(str(error))
        else:
            return ResumeChoice(file, skipped)
    return ResumeChoice(None, skipped)


def agreed_choice(find: Callable[[], ResumeChoice]) -> ResumeChoice:
    """Have the first process of the group choose, for all; ``find`` is called there alone.

    Where it raises, the choice is no checkpoint and the reason: the others wait, whatever happens.
    """
    choices: list[Any] = [None]
    if is_main_process():
        try:
            choices = [find()]
        except Exception as error:
            choices = [ResumeChoice(None, [str(error) or type(error).__name__])]
    broadcast_object_list(choices)
    choice: ResumeChoice = choices[0]
    return choice


def misplaced_checkpoint(words: Sequence[str]) -> str | None:
    """Say what to use instead of ``--resume PATH``; None if only an option or the config follows ``--resume``."""
    given = None
    for word, following in zip(words, [*words, '-'][1:], strict=True):
        if word.startswith('--resume='):
            given = word.partition('=')[2]
        elif word == '--resume' and not following.startswith('-'):
            given = following
    if given is None or Path(given).suffix in ('.py', '.yaml', '.yml', '.json'):
        return None
    head = (
        f'--resume takes no value, but {given!r} follows it: it continues from the newest whole checkpoint of the '
        'work dir'
    )
    if Path(given).is_dir():
        return f'{head}; to continue that run: {shlex.join(["--resume", "--work-dir", given])}'
    if not Path(given).suffix:
        return f'{head}; leave {given!r} out'
    folder, setting = str(Path(given).parent), f'load_from={given}'
    command = shlex.join(['--work-dir', folder, '--cfg-options', 'resume=True', setting])
    return f'{head}; to continue from this checkpoint leave --resume out and write: {command}'


def resume_last_checkpoint(config: Config, process: Process | None = None) -> str:
    """Make the run continue from the newest whole checkpoint of its work dir.

    mmengine resumes from ``load_from`` whenever that is set, so an adaptation run would restart
    from its source-only checkpoint; here the work dir decides, and ``load_from`` is replaced.

    Args:
        config: Config with its ``work_dir``; ``resume`` and ``load_from`` are set in place.
        process: This process, before the process group exists: the first of several chooses and verifies, the
            others are told. None for a single one.

    Raises:
        UserInputError: If the work dir holds no checkpoint to resume from.
    """
    find = partial(_last_checkpoint, config.work_dir)
    checkpoint = told_by_first(process or Process(), 'checkpoint to resume from', find)
    config.resume, config.load_from = True, checkpoint
    return checkpoint


def keep_earlier_run(config: Config, process: Process | None = None) -> None:
    """Refuse to begin a run where an earlier one has its checkpoints: it would write over them.

    Args:
        config: Config with its ``work_dir``; one with ``resume`` goes on, and so does one that torchrun starts again.
        process: This process, as for :func:`resume_last_checkpoint`.

    Raises:
        UserInputError: If the work dir holds a whole checkpoint of a training.
    """
    is_restarted = int(os.environ.get('TORCHELASTIC_RESTART_COUNT', '0')) > 0
    if not (config.get('resume') or is_restarted):
        find = partial(_no_checkpoint, config.work_dir)
        told_by_first(process or Process(), 'checkpoints of an earlier run', find)


def _no_checkpoint(work_dir: str) -> str:
    """The word none; an error if a work dir has a whole checkpoint."""
    earlier = newest_good_checkpoint(work_dir).checkpoint
    if earlier is not None:
        raise UserInputError(
            f'the work dir {str(work_dir)!r} holds checkpoints of an earlier run, {earlier.name} the newest: expected '
            'none, because this run would write over them; go on with that run by --resume, name another folder with '
            '--work-dir, or move them away'
        )
    return 'none'


def _last_checkpoint(work_dir: str) -> str:
    """The newest whole checkpoint of a work dir; an error if there is none."""
    choice = newest_good_checkpoint(work_dir)
    if choice.checkpoint is None:
        reason = choice.describe() if choice.skipped else 'it holds no training checkpoint'
        raise UserInputError(
            f'--resume found nothing to resume in {str(work_dir)!r}: {reason}; '
            'leave --resume out to start anew, or name the run to continue with --work-dir'
        )
    if choice.skipped:
        warn(choice.describe())
    return str(choice.checkpoint)


def _candidates(work_dir: Path) -> tuple[list[Path], list[str]]:
    """Files of the folder that may be checkpoints, and what is wrong with its pointer."""
    files = {file for file in work_dir.glob('*.pth') if not file.name.startswith('best_')}
    pointer = work_dir / POINTER
    if not pointer.is_file():
        return sorted(files), []
    named = Path(pointer.read_text(errors='replace').strip().strip('\0') or '.')
    # A work dir that was moved since still points to its old place, where a copy may train on.
    here = work_dir / named.name
    if here.is_file():
        return sorted(files | {here}), []
    if named.is_file():  # CheckpointHook.out_dir
        beside = {f for f in named.parent.glob('*.pth') if not f.name.startswith('best_')}
        return sorted(files | beside | {named}), []
    return sorted(files), [f'{named}: named by {POINTER}, does not exist']


def _age(checkpoint: Any) -> tuple[str, int] | None:
    """Time and iteration of a training checkpoint; None for other files."""
    if not isinstance(checkpoint, dict) or 'message_hub' not in checkpoint:
        return None
    meta = checkpoint.get('meta')
    if not isinstance(meta, dict) or not isinstance(meta.get('iter'), int):
        return None
    return str(meta.get('time', '')), meta['iter']
