"""Running a curriculum: each stage in a process of its own, none twice, and none from other inputs without being asked.

What a stage was made from is written beside its folder before it starts, and that it is done after it has ended. A
killed run goes on with the stage, and in it with the file, at which it stopped.
"""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import FrameType
from typing import Any

from ..errors import RunError, UserInputError
from ..runtime.atomic_file import write_atomically
from ..runtime.file_digest import file_digest
from ..runtime.folder_lock import own
from ..runtime.resume import newest_good_checkpoint
from ..runtime.run_errors import StoppedBySignal
from .curriculum_plan import stages_from
from .curriculum_stage import Stage, Tools


def run_curriculum(
    stages: Sequence[Stage],
    work_dir: str | os.PathLike[str],
    tools: Tools,
    gpus: int = 1,
    again: str | None = None,
) -> None:
    """Make all stages that are not done.

    Args:
        stages: The stages in order.
        work_dir: Folder of the curriculum.
        tools: The programs.
        gpus: Number of processes of each stage.
        again: Stage that is made again, with those after it; their old folders stay under another name.

    Raises:
        UserInputError: If a stage was made from other inputs, its folder is not one of this curriculum, or what it has
            made was changed or is gone; if a stage ends with a mistake in the input.
        RunError: If a stage fails.
        StoppedBySignal: If a signal has ended a stage.
    """
    work_dir = Path(work_dir)
    with own(work_dir) as lock:
        for stage in stages_from(stages, again) if again is not None else ():
            _put_aside(stage)
        for number, stage in enumerate(stages, 1):
            head = f'[{number}/{len(stages)}] {stage.name}'
            if _is_done(stage):
                print(f'{head}: done before', flush=True)
                continue
            what = (
                f'trains {stage.config}'
                if stage.is_training
                else f'labels {stage.images or "its nights"}'
            )
            print(f'{head}: {what}, from {stage.checkpoint}', flush=True)
            seconds = _make(stage, tools, gpus, lock)
            print(f'{head}: done in {seconds:.0f} s', flush=True)


def show_commands(stages: Sequence[Stage], tools: Tools, gpus: int = 1) -> None:
    """Print the command of each stage, as a shell takes it.

    Args:
        stages: The stages in order.
        tools: The programs.
        gpus: Number of processes of each stage.
    """
    for stage in stages:
        print(f'# {stage.name}\n{shlex.join(stage.command(tools, gpus))}')


def _record_path(stage: Stage) -> Path:
    return stage.folder.with_name(f'{stage.name}.json')


def _read_record(stage: Stage) -> dict[str, Any] | None:
    """What is written of a stage; None if it was never started."""
    path = _record_path(stage)
    if not path.exists():
        if stage.folder.exists():
            raise UserInputError(
                f'the folder {str(stage.folder)!r} of the stage {stage.name!r} is there, but no {str(path)!r} says '
                'what it was made from: expected no folder; move it away, or name another folder with --work-dir'
            )
        return None
    try:
        record = json.loads(path.read_text())
        if isinstance(record['inputs'], dict) and isinstance(record['done'], bool):
            return record
        reason = 'it has other content'
    except (OSError, ValueError, KeyError, TypeError) as error:
        reason = f'{type(error).__name__}: {error}'
    raise UserInputError(
        f'{str(path)!r} cannot be read ({reason}): expected what the stage {stage.name!r} was made from; make it again '
        f'with --again {stage.name}'
    )


def _is_done(stage: Stage) -> bool:
    """Whether a stage has been made from its present inputs; a mismatch is an error."""
    record = _read_record(stage)
    if record is None:
        return False
    again = f'make it and the stages after it again with --again {stage.name}'
    inputs = stage.inputs()
    changed = sorted(
        k for k in {*inputs, *record['inputs']} if inputs.get(k) != record['inputs'].get(k)
    )
    if changed:
        raise UserInputError(
            f'the stage {stage.name!r} in {str(stage.folder)!r} was made from another {", ".join(changed)}: expected '
            f'what it was made from; {again}, or name another folder with --work-dir'
        )
    if not record['done']:
        return False
    product = str(stage.product)
    if not stage.product.is_file():
        raise UserInputError(
            f'{product!r}, which the stage {stage.name!r} had made, is gone: expected it; restore it, or {again}'
        )
    if file_digest(product) != record['product']:
        raise UserInputError(
            f'{product!r} has changed since the stage {stage.name!r} made it: expected the same file; restore it, or '
            f'{again}'
        )
    return True


def _make(stage: Stage, tools: Tools, gpus: int, lock: int) -> float:
    """Run the command of a stage to its end; returns the seconds that it took."""
    inputs = stage.inputs()
    _write_record(stage, {'inputs': inputs, 'done': False})
    is_resumed = stage.is_training and newest_good_checkpoint(stage.folder).checkpoint is not None
    start = time.monotonic()
    code = _run(stage.command(tools, gpus, is_resumed), lock)
    name = f'the stage {stage.name!r}'
    if code in (128 + signal.SIGINT, 128 + signal.SIGTERM):
        print(f'{name} was stopped; the same command goes on with it', file=sys.stderr, flush=True)
        raise StoppedBySignal(code)
    if code == UserInputError.exit_code:
        raise UserInputError(
            f'{name} ended with a mistake in its input, which stands above: correct it and give the same command again'
        )
    if code != 0 or not stage.product.is_file():
        ending = (
            f'ended with exit code {code}' if code else f'has not written {str(stage.product)!r}'
        )
        raise RunError(
            f'{name} {ending}: its messages stand above; give the same command again, it goes on where it stopped'
        )
    _write_record(stage, {'inputs': inputs, 'done': True, 'product': file_digest(stage.product)})
    return time.monotonic() - start


def _write_record(stage: Stage, record: Mapping[str, Any]) -> None:
    write_atomically(_record_path(stage), (json.dumps(record, indent=1) + '\n').encode())


def _run(command: Sequence[str], lock: int) -> int:
    """Run a command; SIGINT and SIGTERM to this process go on to it, so that it saves and ends.

    Returns:
        Its exit code, 128 plus the signal's number if one has killed it.
    """
    started: list[subprocess.Popen] = []
    early: list[int] = []

    def pass_on(number: int, frame: FrameType | None) -> None:
        if started:
            started[0].send_signal(number)
        else:
            early.append(number)

    before = {number: signal.signal(number, pass_on) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        env = dict(os.environ, PYTHON=sys.executable)  # of tools/dist_train.sh
        # A session of its own: Ctrl-C in a terminal reaches it once, through this process.
        started.append(subprocess.Popen(command, env=env, start_new_session=True, pass_fds=[lock]))
        for number in early:
            started[0].send_signal(number)
        code = started[0].wait()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    return 128 - code if code < 0 else code


def _put_aside(stage: Stage) -> None:
    """Give the folder of a stage, and what is written of it, names of their own with the time."""
    ending = time.strftime('.%Y%m%d_%H%M%S')
    for path in (stage.folder, _record_path(stage)):
        if not os.path.lexists(path):
            continue
        target = path.with_name(f'{path.stem}{ending}{path.suffix}')
        if os.path.lexists(target):
            raise UserInputError(f'{str(target)!r} is there already: give the same command again')
        path.rename(target)
        print(f'{path} is now {target}', flush=True)
