"""Trainings as stages: each a process of its own, some at a time, and none again while its done-file holds."""

from __future__ import annotations

import functools
import hashlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config
from rich.console import Console
from rich.markup import escape

from benchmarks.repository import ROOT
from benchmarks.stage_folder import DONE, LOG, STARTED, finish_run, read_record, start_run
from mmseg_ccdistill.datasets.file_scan import available_cores
from mmseg_ccdistill.reports.training_log import logged_steps
from mmseg_ccdistill.runtime.folder_lock import own
from mmseg_ccdistill.runtime.override_syntax import format_override
from mmseg_ccdistill.runtime.resume import newest_good_checkpoint

#: Seconds between two looks at the running stages, and between two lines on them where there is no terminal.
POLL_SECONDS, LINE_SECONDS = 0.5, 15.0


@dataclass(frozen=True, eq=False)
class Stage:
    """One training run.

    Attributes:
        name: Folder below the working directory.
        config: Config file, absolute or relative to the repository.
        max_iters: Length of the run, in steps of its progress.
        start: Stage whose last checkpoint this one starts from; None: as the config says.
        seed: Random seed.
        options: Further config overrides, as ``--cfg-options`` takes them.
        data: What tells the data from other data in the same folders; part of the fingerprint.
        resumable: Whether a run that was cut short goes on from its newest checkpoint; it needs an option
            ``default_hooks.checkpoint.interval`` below ``max_iters``.
    """

    name: str
    config: str
    max_iters: int
    start: Stage | None = None
    seed: int = 0
    options: Mapping[str, Any] = field(default_factory=dict)
    data: str = ''
    resumable: bool = False

    def checkpoint(self, work_dir: Path) -> Path:
        """Path of the last checkpoint."""
        return work_dir / self.name / f'iter_{self.max_iters}.pth'

    def product(self, work_dir: Path) -> Path:
        """File that the finished stage leaves."""
        return self.checkpoint(work_dir)

    def fingerprint(self, work_dir: Path) -> str:
        """What the run depends on: its command line, the config's content, its data and its first stage.

        Where the working directory and the repository lie makes no difference.
        """
        before = self.start.fingerprint(work_dir) if self.start else ''
        text = ' '.join(self.command(work_dir)[1:]) + config_text(ROOT / self.config)
        text = text.replace(str(work_dir), '').replace(str(ROOT), '')
        return hashlib.sha256((text + self.data + before).encode()).hexdigest()

    def finished(self, work_dir: Path) -> bool:
        """Whether this very run has been done before."""
        record = read_record(work_dir / self.name / DONE)
        if not record or not self.product(work_dir).exists():
            return False
        return record['fingerprint'] == self.fingerprint(work_dir)

    def seconds(self, work_dir: Path) -> float:
        """Duration of the finished run, over all processes that it took; 0 if there is no record of it."""
        return float(read_record(work_dir / self.name / DONE).get('seconds', 0.0))

    def code(self, work_dir: Path) -> list[dict[str, Any]]:
        """Commit and changes of the code when the run started, and when it went on; empty if it did not start."""
        return list(read_record(work_dir / self.name / STARTED).get('code', []))

    def steps_done(self, work_dir: Path) -> int:
        """Steps that the run has logged."""
        return logged_steps(work_dir / self.name)

    def has_begun(self, work_dir: Path) -> bool:
        """Whether the run can go on where it stopped, if its settings are the same."""
        folder = str(work_dir / self.name)
        return self.resumable and newest_good_checkpoint(folder).checkpoint is not None

    def resumed(self, command: Sequence[str]) -> list[str]:
        """The command line that goes on."""
        return [*command[:3], '--resume', *command[3:]]

    def settings(self, work_dir: Path) -> dict[str, Any]:
        """Config overrides of the training."""
        return {
            'train_cfg.max_iters': self.max_iters,
            'train_cfg.val_interval': self.max_iters,
            'param_scheduler.0.end': self.max_iters,
            'default_hooks.checkpoint.interval': self.max_iters,
            'default_hooks.logger.interval': 10,
            'log_processor.window_size': 10,
            'randomness.seed': self.seed,
            'load_from': str(self.start.checkpoint(work_dir)) if self.start else None,
            **self.options,
        }

    def command(self, work_dir: Path) -> list[str]:
        """Command line that trains this stage."""
        options = self.settings(work_dir)
        return [
            *(sys.executable, str(ROOT / 'tools/train.py'), str(ROOT / self.config)),
            *('--work-dir', str(work_dir / self.name), '--cfg-options'),
            *(format_override(key, value) for key, value in options.items()),
        ]


@functools.cache
def config_text(path: Path) -> str:
    """The settings of a config, as one text; the file is read once.

    Args:
        path: Config file.
    """
    return repr(Config.fromfile(str(path)).to_dict())


def processes_at_a_time() -> int:
    """One process for each GPU, else for each core."""
    return torch.cuda.device_count() or available_cores()


def _launch(stage: Stage, work_dir: Path, slot: int, threads: int, lock: int) -> subprocess.Popen:
    """Start a stage; its output goes to a log in its folder."""
    folder = work_dir / stage.name
    command = stage.command(work_dir)
    if start_run(folder, stage.fingerprint(work_dir), stage.has_begun(work_dir)):
        command = stage.resumed(command)
    env = dict(os.environ, OMP_NUM_THREADS=str(threads), MKL_NUM_THREADS=str(threads))
    # Threads that wait in a loop stop each other where the cores are shared.
    env.setdefault('OMP_WAIT_POLICY', 'passive')
    # The configs of some rows import benchmarks, which is not installed.
    env['PYTHONPATH'] = os.pathsep.join(filter(None, [str(ROOT), env.get('PYTHONPATH')]))
    count, named = torch.cuda.device_count(), os.environ.get('CUDA_VISIBLE_DEVICES')
    if count:
        devices = named.split(',')[:count] if named else [str(index) for index in range(count)]
        env['CUDA_VISIBLE_DEVICES'] = devices[slot % count]
    with open(folder / LOG, 'w') as log:
        return subprocess.Popen(
            command, env=env, stdout=log, stderr=subprocess.STDOUT, pass_fds=[lock]
        )


@contextmanager
def _sigterm_exits() -> Iterator[None]:
    """SIGTERM leaves through ``finally``, which ends the stages, and not at once."""
    before = signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _failure(stage: Stage, work_dir: Path) -> str:
    log_file = work_dir / stage.name / LOG
    tail = '\n'.join(log_file.read_text(errors='replace').splitlines()[-25:])
    return f'stage {stage.name} failed, see {log_file}:\n{tail}'


def progress_line(
    stages: Sequence[Stage], ended: Set[Stage], running: Mapping[Stage, int], seconds: float
) -> str:
    """How far all stages are, when they will be over, and how far each running one is.

    Args:
        stages: All stages that were not finished before.
        ended: Stages that have ended, well or not.
        running: Steps done of each running stage.
        seconds: Time since the start.
    """
    total = sum(stage.max_iters for stage in stages)
    now = sum(stage.max_iters for stage in stages if stage in ended) + sum(running.values())
    eta = f'{seconds / now * (total - now):.0f} s' if now else '?'
    texts = [f'{stage.name} {steps}/{stage.max_iters}' for stage, steps in running.items()]
    return '; '.join([f'{now}/{total} ETA {eta}', *texts])


def run_stages(
    stages: Sequence[Stage],
    work_dir: Path,
    jobs: int,
    threads: int,
    on_end: Callable[[Stage, str], None] | None = None,
) -> dict[Stage, str]:
    """Run ``stages``, at most ``jobs`` at a time; a stage waits for the one it starts from.

    A stage that has been done before, with the same command, config and data, is not run again. Output of
    each run goes to ``<stage>/train.log``. With GPUs, the processes are dealt out to them in turn.

    Args:
        stages (Sequence[Stage]): What to run.
        work_dir (Path): Folder of the runs.
        jobs (int): Number of processes at a time.
        threads (int): CPU threads per process.
        on_end (Callable, optional): Called after each stage with an empty text, or with what went wrong; the
            stages that do not start from a failed one still run. None: a failure ends all. Defaults to None.

    Returns:
        dict: What went wrong, by stage.

    Raises:
        UserInputError: If another run works in the folder.
        RuntimeError: If a stage fails and there is no ``on_end``; the message holds the end of its log. If a stage
            starts from one that is neither finished nor run.
    """
    starts = [stage.start for stage in stages if stage.start is not None]
    finished = {stage for stage in {*stages, *starts} if stage.finished(work_dir)}
    waiting = [stage for stage in stages if stage not in finished]
    for stage in waiting:
        if stage.start not in {None, *finished, *waiting}:
            raise RuntimeError(f'{stage.name} starts from a stage that is not run')
    running: dict[Stage, tuple[subprocess.Popen, int, float]] = {}  # process, slot, start
    slots = list(range(jobs))
    failed: dict[Stage, str] = {}

    def end(stage: Stage, problem: str = '') -> None:
        if not problem:
            finished.add(stage)
        elif on_end is None:
            raise RuntimeError(problem)
        else:
            failed[stage] = problem
        if on_end is not None:
            on_end(stage, problem)

    console, todo = Console(), list(waiting)
    begin = last_line = time.monotonic()
    with own(work_dir) as lock, _sigterm_exits(), console.status('') as status:
        try:
            while waiting or running:
                for stage in list(waiting):
                    if stage.start in failed:
                        waiting.remove(stage)
                        end(stage, f'stage {stage.name} was left out: {stage.start.name} failed')
                    elif slots and stage.start in {None, *finished}:
                        waiting.remove(stage)
                        slot = slots.pop(0)
                        process = _launch(stage, work_dir, slot, threads, lock)
                        running[stage] = process, slot, time.monotonic()
                time.sleep(POLL_SECONDS)
                now, steps = time.monotonic(), {s: s.steps_done(work_dir) for s in running}
                line = progress_line(todo, {*finished, *failed}, steps, now - begin)
                status.update(escape(line))
                if not console.is_terminal and now - last_line >= LINE_SECONDS:
                    last_line = now
                    print(line, flush=True)
                for stage, (process, slot, started) in list(running.items()):
                    if process.poll() is None:
                        continue
                    del running[stage]
                    slots.append(slot)
                    if process.returncode or not stage.product(work_dir).exists():
                        print(f'{stage.name}: failed', flush=True)
                        end(stage, _failure(stage, work_dir))
                    else:
                        finish_run(work_dir / stage.name, time.monotonic() - started)
                        print(f'{stage.name}: done in {stage.seconds(work_dir):.0f} s', flush=True)
                        end(stage)
        finally:
            for process, *_ in running.values():
                process.terminate()
            for process, *_ in running.values():
                process.wait()
    return failed
