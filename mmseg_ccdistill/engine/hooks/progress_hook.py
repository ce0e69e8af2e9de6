"""The console of a run: a progress bar in a terminal, plain lines elsewhere."""

import atexit
import logging
import sys
import time
from collections.abc import Sequence
from typing import Any

from mmengine.dist import is_main_process
from mmengine.hooks import Hook
from mmseg.registry import HOOKS
from rich.console import Console, Group
from rich.live import Live
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
)
from rich.text import Text

from ...errors import UserInputError
from ...runtime.progress_text import (
    IterationLineFilter,
    duration_text,
    mean_losses,
    memory_text,
    short_name,
    validations_left,
)

# Redraws of the bar per second: smooth to the eye and nothing beside a training step.
_REDRAWS_PER_SECOND = 8.0
# Iterations over which the time of one iteration is averaged for the ETA.
_TIME_WINDOW = 100


@HOOKS.register_module()
class RichProgressHook(Hook):
    """Shows iteration, ETA, losses, learning rate and memory on the console.

    In a terminal a bar stays at the bottom and log messages scroll above it; anywhere else (a file,
    a pipe, CI) one plain line is printed every ``interval`` iterations. The log file, and all
    messages that are not about a single iteration (validation results, checkpoints), remain
    LoggerHook's. Values are read from the message hub, where they are numbers on the host already,
    and only every ``interval`` iterations: the hook never waits for the device.

    Args:
        interval: Iterations between two updates of the values, and between two plain lines.
        losses: Loss keys to show after the total. None shows all.
        bar: Whether to draw the bar. None decides by whether standard output is a terminal.

    Raises:
        UserInputError: If ``interval`` is not positive.
    """

    priority = 'BELOW_NORMAL'  # after the hooks that write loss, lr and time to the message hub

    def __init__(
        self, interval: int = 50, losses: Sequence[str] | None = None, bar: bool | None = None
    ) -> None:
        if interval <= 0:
            raise UserInputError(f'RichProgressHook: interval must be at least 1, got {interval}')
        self.interval = interval
        self.losses = None if losses is None else list(losses)
        self.bar = bar
        self._console = Console()
        self._live: Live | None = None
        self._progress: Progress | None = None
        self._tasks: dict[str, TaskID] = {}
        self._details = Text()
        self._last_draw = 0.0
        self._streams: list[tuple[logging.StreamHandler[Any], Any]] = []
        self._filter = IterationLineFilter()
        self._stage_start = 0.0
        self._validation_seconds = 0.0

    # Start and end of a run.

    def before_run(self, runner: Any) -> None:
        """Take over the console: quieten LoggerHook there and, in a terminal, open the bar."""
        if not is_main_process():
            return
        handlers = [
            handler
            for handler in runner.logger.handlers
            if isinstance(handler, logging.StreamHandler)
            and not isinstance(handler, logging.FileHandler)
        ]
        for handler in handlers:
            handler.addFilter(self._filter)
        if self.bar is True or (self.bar is None and sys.stdout.isatty()):
            self._open_bar(handlers)

    def after_run(self, runner: Any) -> None:
        """Give the console back."""
        self.close()
        for handler in runner.logger.handlers:
            handler.removeFilter(self._filter)

    def _open_bar(self, handlers: Sequence['logging.StreamHandler[Any]']) -> None:
        """Start the live display and send console messages through it, to scroll above the bar."""
        self._progress = Progress(
            TextColumn('{task.description}'),
            BarColumn(bar_width=None),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn('eta {task.fields[eta]}'),
            console=self._console,
            auto_refresh=False,
            expand=True,
        )
        # No refresh thread: data loader workers are forked while the display is up, and a thread's
        # lock would be copied into them in whatever state it is in.
        self._live = Live(
            Group(self._progress, self._details), console=self._console, auto_refresh=False
        )
        self._live.start()
        for handler in handlers:
            self._streams.append((handler, handler.stream))
            handler.setStream(sys.stdout)  # rich's proxy while the display is up
        atexit.register(self.close)  # a run that fails leaves the terminal as it was

    def close(self) -> None:
        """Remove the bar, if there is one, and give the log handlers their streams back."""
        for handler, stream in self._streams:
            handler.setStream(stream)
        self._streams.clear()
        if self._live is not None:
            self._live.stop()
            self._live = self._progress = None
            self._tasks.clear()
            atexit.unregister(self.close)

    # Training.

    def after_train_iter(
        self, runner: Any, batch_idx: int, data_batch: Any = None, outputs: dict | None = None
    ) -> None:
        """Count the iteration and, at the interval, show its values."""
        if not is_main_process():
            return
        done, total = runner.iter + 1, runner.max_iters
        due = done % self.interval == 0 or done in (1, total)
        if due:
            seconds = self._seconds_per_iteration(runner)
            eta = '-:--:--'
            if seconds is not None:
                eta = duration_text(seconds * (total - done) + self._validation_eta(runner, done))
            values = self._values(runner, seconds)
            if self._progress is None:
                line = f'train {done:>{len(str(total))}}/{total}  eta {eta}  {values}'
                print(line, flush=True)
            else:
                self._details.plain = values
                self._progress.update(self._task('train', total), eta=eta)
        self._draw('train', done, total, force=due)

    def _seconds_per_iteration(self, runner: Any) -> float | None:
        """Average the time of recent training iterations, loading included."""
        history = runner.message_hub.log_scalars.get('train/time')
        return None if history is None else float(history.mean(_TIME_WINDOW))

    def _validation_eta(self, runner: Any, done: int) -> float:
        """Estimate the seconds that the remaining validations take, from the latest one."""
        interval = getattr(runner.train_loop, 'val_interval', None)
        if not self._validation_seconds or not interval or runner.max_epochs != 1:
            return 0.0
        begin = getattr(runner.train_loop, 'val_begin', 1)
        left = validations_left(done, runner.max_iters, interval, begin)
        return left * self._validation_seconds

    def _values(self, runner: Any, seconds: float | None) -> str:
        """Put the values of the latest iterations into one line."""
        hub = runner.message_hub
        parts = [] if seconds is None else [f'{seconds:.3g} s/iter']
        shown = mean_losses(hub, self.interval)
        if self.losses is not None:
            shown = {key: shown[key] for key in ['loss', *self.losses] if key in shown}
        parts += [f'{short_name(key)} {value:.4g}' for key, value in shown.items()]
        if 'train/lr' in hub.log_scalars:
            parts.append(f'lr {hub.get_scalar("train/lr").current():.3g}')
        return '  '.join([*parts, memory_text()])

    # Validation and test.

    def before_val(self, runner: Any) -> None:
        """Start the clock of a validation."""
        self._stage_start = time.monotonic()

    before_test = before_val

    def after_val_iter(
        self, runner: Any, batch_idx: int, data_batch: Any = None, outputs: Sequence | None = None
    ) -> None:
        """Count a batch of the validation."""
        self._count_evaluation('val', batch_idx + 1, len(runner.val_dataloader))

    def after_test_iter(
        self, runner: Any, batch_idx: int, data_batch: Any = None, outputs: Sequence | None = None
    ) -> None:
        """Count a batch of the test."""
        self._count_evaluation('test', batch_idx + 1, len(runner.test_dataloader))

    def after_val(self, runner: Any) -> None:
        """Remember how long the validation took and take its bar away."""
        self._validation_seconds = time.monotonic() - self._stage_start
        if self._progress is not None and 'val' in self._tasks:
            self._progress.remove_task(self._tasks.pop('val'))

    def _count_evaluation(self, stage: str, done: int, total: int) -> None:
        """Show the progress of a validation or a test."""
        if not is_main_process():
            return
        due = done % self.interval == 0 or done == total
        eta = duration_text((time.monotonic() - self._stage_start) / done * (total - done))
        if self._progress is None:
            if due:
                line = f'{stage} {done:>{len(str(total))}}/{total}  eta {eta}  {memory_text()}'
                print(line, flush=True)
        else:
            self._progress.update(self._task(stage, total), eta=eta)
        self._draw(stage, done, total, force=due)

    # Drawing.

    def _task(self, stage: str, total: int) -> TaskID:
        """Return the bar of a stage; make it at its first iteration."""
        assert self._progress is not None
        if stage not in self._tasks:
            self._tasks[stage] = self._progress.add_task(stage, total=total, eta='-:--:--')
        return self._tasks[stage]

    def _draw(self, stage: str, done: int, total: int, force: bool) -> None:
        """Redraw the bar, at most so many times a second."""
        if self._progress is None or self._live is None:
            return
        self._progress.update(self._task(stage, total), completed=done)
        now = time.monotonic()
        if force or now - self._last_draw > 1.0 / _REDRAWS_PER_SECOND:
            self._last_draw = now
            self._live.refresh()
