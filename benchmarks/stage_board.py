"""What is shown of stages while they run."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

if TYPE_CHECKING:
    from benchmarks.stages import Stage

#: Seconds between two plain lines without a terminal.
LINE_SECONDS = 15.0


class Board:
    """Progress of the running stages and of all: bars on a terminal, else plain lines now and then."""

    def __init__(self, total: int, done: int, num_stages: int) -> None:
        self.console = Console()
        columns = [
            TextColumn('{task.description}'),
            BarColumn(6),
            TextColumn('{task.completed}/{task.total} ETA'),
            TimeRemainingColumn(compact=True),
            TextColumn('{task.fields[state]}'),
        ]
        self.bars = Progress(*columns, console=self.console, disable=not self.console.is_terminal)
        self.num_stages, self.finished_steps, self.first = num_stages, done, done
        self.total, self.begin = total, time.monotonic()
        self.all = self.bars.add_task(
            'all', total=total, completed=done, state='', visible=num_stages > 1
        )
        self.tasks: dict[Stage, TaskID] = {}
        self.started: dict[Stage, float] = {}
        self.done: dict[Stage, int] = {}
        self.last_line = time.monotonic()

    def start(self, stage: Stage) -> None:
        """Show a stage."""
        self.tasks[stage] = self.bars.add_task(stage.name, total=stage.steps, state='starting')
        self.started[stage], self.done[stage] = time.monotonic(), 0

    def elapsed(self, stage: Stage) -> float:
        """Seconds since the start of a stage."""
        return time.monotonic() - self.started[stage]

    def update(self, states: Mapping[Stage, tuple[int, str]]) -> None:
        """Show steps done and state of the running stages."""
        self.done.update({stage: done for stage, (done, _) in states.items()})
        now = self.finished_steps + sum(self.done.values())
        self.bars.update(self.all, completed=now)
        for stage, (done, state) in states.items():
            self.bars.update(self.tasks[stage], completed=done, state=state)
        if self.console.is_terminal or time.monotonic() - self.last_line < LINE_SECONDS:
            return
        self.last_line = time.monotonic()
        for stage, (done, state) in states.items():
            eta = _eta(self.elapsed(stage), done, stage.steps)
            print(f'{stage.name}: {done}/{stage.steps} ETA {eta} {state}', flush=True)
        if self.num_stages > 1:
            eta = _eta(time.monotonic() - self.begin, now - self.first, self.total - self.first)
            print(f'all: {now}/{self.total} ETA {eta}', flush=True)

    def count(self, stage: Stage) -> None:
        """Count all steps of a stage that has ended, failed or was left out."""
        self.finished_steps += stage.steps
        self.bars.update(self.all, completed=self.finished_steps + sum(self.done.values()))

    def end(self, stage: Stage, text: str) -> None:
        """Take a running stage off and say how it ended."""
        self.bars.remove_task(self.tasks.pop(stage))
        self.done.pop(stage)
        self.count(stage)
        line = f'{stage.name}: {text}'
        if self.console.is_terminal:
            self.console.print(line, markup=False, highlight=False)
        else:
            print(line, flush=True)


def _eta(elapsed: float, done: int, total: int) -> str:
    return f'{elapsed / done * (total - done):.0f} s' if done > 0 else '?'
