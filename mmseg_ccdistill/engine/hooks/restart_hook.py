"""Hook that lets a run which torchrun has restarted go on where it was."""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path

from mmengine.hooks import Hook
from mmengine.runner import Runner
from mmseg.registry import HOOKS

from ...runtime.resume import ResumeChoice, agreed_choice, newest_good_checkpoint

#: Written at the first attempt: what is older than this file belongs to an earlier run.
MARKER = '.first_attempt'


@HOOKS.register_module()
class RestartHook(Hook):
    """Resumes after a restart by ``torchrun --max-restarts``.

    torchrun starts all processes anew, with the same arguments, when one of them has failed. The
    newest whole checkpoint that this run has written is then resumed from; where there is none, the
    run begins again. Without restarts the hook does nothing.
    """

    priority = 'HIGHEST'  # before ExactResumeHook, which looks at the runner's resume

    def before_run(self, runner: Runner) -> None:
        """Choose between going on and beginning."""
        if int(os.environ.get('TORCHELASTIC_MAX_RESTARTS', '0')) < 1:
            return
        count = int(os.environ.get('TORCHELASTIC_RESTART_COUNT', '0'))
        marker = Path(runner.work_dir) / MARKER
        checkpoint = agreed_choice(partial(_own_choice, marker, count)).checkpoint
        if checkpoint is not None:
            runner.logger.info(f'torchrun, attempt {count + 1}: resuming from {checkpoint}')
            runner._resume, runner._load_from = True, str(checkpoint)


def _own_choice(marker: Path, count: int) -> ResumeChoice:
    """The newest whole checkpoint that is not older than the run's first attempt, which sets the marker."""
    nothing = ResumeChoice(None, [])
    if count == 0:
        marker.unlink(missing_ok=True)  # a new file has a new time
        marker.touch()
        return nothing
    choice = newest_good_checkpoint(marker.parent)
    if choice.checkpoint is None or not marker.is_file():
        return nothing
    is_own = choice.checkpoint.stat().st_mtime_ns >= marker.stat().st_mtime_ns
    return choice if is_own else nothing
