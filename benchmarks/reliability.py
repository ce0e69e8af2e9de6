"""Kill trainings on purpose, resume them, and compare what they end with.

    python -m benchmarks.reliability --fault-kills 100 --random-kills 100

Real runs of the recipe on a few small frames with a narrow network, as processes of their own, end
by SIGKILL: at the steps of a checkpoint's write (``mmseg_ccdistill.runtime.atomic_file.fault_point``)
and at random moments. After each kill every checkpoint that lies under its name must be whole, and
none that was there before may be missing. Each run is killed several times, resumed each time, and
must end with the weights, optimizer and logged losses of a run that nobody touched.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import random
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import mmengine
import torch
from rich.progress import Progress

from benchmarks.forked_training import (
    ITERATIONS,
    ROOT,
    final_state,
    fork,
    make_data,
    run_config,
    same,
    train,
)
from mmseg_ccdistill.runtime.atomic_file import write_atomically
from mmseg_ccdistill.runtime.checkpoint_file import CheckpointFileError, verify_checkpoint
from mmseg_ccdistill.runtime.command_line import run_main
from mmseg_ccdistill.runtime.output_place import check_output_file

RESULTS = ROOT / 'docs/results/reliability.json'
# Kills of one run before it may end.
KILLS_PER_RUN = 4

# The steps of a write by the window that is reported, and how many of them one save passes through.
WINDOWS = {
    'write': ('space checked', 'writing', 'written'),
    'verify': ('synced', 'verified'),
    'rename': ('renamed', 'folder synced'),
    'delete': ('deleting', 'deleted'),
}
STEPS_PER_SAVE = {'write': 30, 'verify': 4, 'rename': 4, 'delete': 2}


def kill_at(window: str, number: int, note: Path) -> Callable[[str], None]:
    """Make a fault point that ends the process by SIGKILL.

    Args:
        window: Key of ``WINDOWS``.
        number: At which of the window's steps, from 0.
        note: File that gets the step's name.

    Returns:
        The fault point.
    """
    left = iter(range(number, -1, -1))

    def fault_point(step: str) -> None:
        if step in WINDOWS[window] and next(left) == 0:
            note.write_text(step)
            os.kill(os.getpid(), signal.SIGKILL)

    return fault_point


def damage(work_dir: Path, before: set[str]) -> list[str]:
    """What a kill has destroyed.

    Args:
        work_dir: Folder of the run.
        before: Names of the checkpoints before the killed process started.

    Returns:
        One sentence for each loss; empty if all is well.
    """
    found, losses = set(), []
    for file in sorted(work_dir.glob('*.pth')):
        try:
            verify_checkpoint(file)
            found.add(file.name)
        except CheckpointFileError as error:
            losses.append(str(error))
    pointer = work_dir / 'last_checkpoint'
    if pointer.exists() and not Path(pointer.read_text()).is_file():
        losses.append(f'last_checkpoint names {pointer.read_text()!r}, which does not exist')
    if before and not found:
        losses.append('every checkpoint is gone')
    elif before and max(map(_iteration, found)) < max(map(_iteration, before)):
        losses.append('the newest checkpoint is gone')
    return losses


def _iteration(name: str) -> int:
    return int(name.removeprefix('iter_').removesuffix('.pth'))


class Harness:
    """Kills runs and counts what happens.

    Args:
        folder: Folder for data and runs.
        seed: Seed of the moments.
    """

    def __init__(self, folder: Path, seed: int = 0) -> None:
        self.folder = folder
        self.random = random.Random(seed)
        self.data = make_data(folder)
        self.landed: Counter[str] = Counter()
        self.random_kills = 0
        self.losses: list[str] = []
        self.different: list[str] = []
        self.failed: list[str] = []
        self.runs = 0
        self.seconds = self._reference()

    def _reference(self) -> float:
        """Train without a kill and take the time, in seconds."""
        work_dir = self.folder / 'reference'
        config = run_config(self.data, work_dir)
        start = time.monotonic()
        self._wait(fork(lambda: train(config), self.folder / 'reference.log'))
        seconds = time.monotonic() - start
        self.expected = final_state(work_dir)
        return seconds

    def _wait(self, process: int) -> bool:
        """Wait for a process; True if it ended by itself, without an error."""
        _, status = os.waitpid(process, 0)
        if os.WIFEXITED(status) and os.WEXITSTATUS(status):
            self.failed.append(f'run {self.runs} ended with an error')
        return os.WIFEXITED(status)

    def run_with_kills(self, kills: int, at_steps: bool, on_kill: Callable[[], object]) -> None:
        """Train once with kills on the way, to the end, and compare.

        Args:
            kills: How many.
            at_steps: Kill at steps of a write; else at random moments.
            on_kill: Called after each.
        """
        self.runs += 1
        work_dir, log = self.folder / f'run_{self.runs}', self.folder / f'run_{self.runs}.log'
        done = 0
        while done < kills:
            before = {file.name for file in work_dir.glob('*.pth')}
            if f'iter_{ITERATIONS}.pth' in before:  # it is over: begin another
                self._compare(work_dir)
                return self.run_with_kills(kills - done, at_steps, on_kill)
            if self._killed(work_dir, log, at_steps, max(map(_iteration, before), default=0)):
                done += 1
                on_kill()
            self.losses += [f'run {self.runs}: {text}' for text in damage(work_dir, before)]
        config = run_config(self.data, work_dir)
        self._wait(fork(lambda: train(config), log))
        self._compare(work_dir)
        return None

    def _killed(self, work_dir: Path, log: Path, at_steps: bool, done: int) -> bool:
        """Start or continue a run and kill it; False if it ended before."""
        config = run_config(self.data, work_dir)
        if at_steps:
            note = self.folder / 'killed_at.txt'
            note.unlink(missing_ok=True)
            window = self.random.choice(list(WINDOWS))
            number = self.random.randrange(STEPS_PER_SAVE[window] * 3 // 2)
            if self._wait(fork(lambda: train(config, kill_at(window, number, note)), log)):
                return False
            self.landed[note.read_text()] += 1
            return True
        process = fork(lambda: train(config), log)
        time.sleep(self.random.uniform(0, self.seconds * (1 - 0.7 * done / ITERATIONS)))
        os.kill(process, signal.SIGKILL)
        if self._wait(process):
            return False
        self.random_kills += 1
        return True

    def _compare(self, work_dir: Path) -> None:
        """Compare the end of a run with that of the reference."""
        try:
            if not same(final_state(work_dir), self.expected):
                self.different.append(work_dir.name)
        except CheckpointFileError as error:
            self.failed.append(str(error))

    def report(self) -> dict[str, Any]:
        """The figures.

        Returns:
            Kills by window, losses, and runs that ended with other weights.
        """
        return {
            'fault_point_kills': sum(self.landed.values()),
            'by_window': {
                window: sum(self.landed[step] for step in steps)
                for window, steps in WINDOWS.items()
            },
            'by_step': dict(sorted(self.landed.items())),
            'random_kills': self.random_kills,
            'runs': self.runs,
            'good_checkpoints_lost': len(self.losses),
            'runs_with_another_end': len(self.different),
            'runs_that_failed': len(self.failed),
            'details': self.losses + self.different + self.failed,
        }


def measure(fault_kills: int, random_kills: int, folder: Path, seed: int = 0) -> dict[str, Any]:
    """Kill as often as asked for, with progress.

    Args:
        fault_kills: Kills at steps of a write.
        random_kills: Kills at random moments.
        folder: Folder for data and runs.
        seed: Seed of the moments.

    Returns:
        The figures.
    """
    harness = Harness(folder, seed)
    with Progress() as progress:
        for name, total in (('fault points', fault_kills), ('random moments', random_kills)):
            advance = partial(progress.advance, progress.add_task(f'Kills at {name}', total=total))
            for start in range(0, total, KILLS_PER_RUN):
                kills = min(KILLS_PER_RUN, total - start)
                harness.run_with_kills(kills, name == 'fault points', advance)
    return harness.report()


def main(argv: list[str] | None = None) -> int:
    """Run the harness and write the figures.

    Returns:
        0 if nothing was lost and every run ended alike, else 1.
    """
    parser = argparse.ArgumentParser(description='Kill trainings, resume them, compare the ends.')
    parser.add_argument('--fault-kills', type=int, default=100, help='kills at steps of a write')
    parser.add_argument('--random-kills', type=int, default=100, help='kills at random moments')
    parser.add_argument('--seed', type=int, default=0, help='seed of the moments')
    parser.add_argument('--out', type=Path, default=RESULTS, help='file for the figures')
    args = parser.parse_args(argv)
    check_output_file(args.out)
    start = time.monotonic()
    with tempfile.TemporaryDirectory(prefix='reliability-') as folder:
        figures = measure(args.fault_kills, args.random_kills, Path(folder), args.seed)
    figures['seconds'] = round(time.monotonic() - start)
    figures['versions'] = {
        'python': platform.python_version(),
        'torch': torch.__version__,
        'mmengine': mmengine.__version__,
    }
    args.out.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(args.out, (json.dumps(figures, indent=2) + '\n').encode())
    print(json.dumps(figures, indent=2))
    return 1 if figures['details'] else 0


if __name__ == '__main__':
    sys.exit(run_main(lambda: sys.exit(main())))
