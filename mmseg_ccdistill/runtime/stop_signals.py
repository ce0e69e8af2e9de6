"""SIGINT and SIGTERM: noted until the run asks, with a time limit, and at once the second time."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from types import FrameType
from typing import Any

from mmengine.dist import is_main_process

from .ranks import launcher_of_command, process_of, speaker
from .run_errors import resume_command
from .signal_limit import SignalLimit

_SIGNALS = (signal.SIGINT, signal.SIGTERM)
# Ctrl-C reaches a process twice where torchrun forwards what the terminal has sent already; a
# scheduler may signal a job and each of its processes. Only a later signal is the user's impatience.
_REPEAT_SECONDS = 3.0


class StopSignals:
    """Takes the place of Python's handlers until :meth:`restore`.

    A signal ends the process without more ado ``patience()`` seconds after it has come, unless
    :meth:`call_off_limit` is called before; so does a second one three seconds or more after the first.
    A run that an error has ended may never restore the handlers: its signals go to those of before.

    Args:
        patience: Gives the seconds from a signal until the iteration counts as hanging.
        is_running: Whether the run goes on, by the frame that the signal has interrupted.
    """

    def __init__(
        self, patience: Callable[[], float], is_running: Callable[[FrameType | None], bool]
    ) -> None:
        self.number = 0  # the largest signal that has come
        self._patience = patience
        self._is_running = is_running
        self._first = 0.0
        self._pid = os.getpid()
        self._previous: dict[int, Any] = {}
        self._limit: SignalLimit | None = None

    def install(self) -> None:
        """Begin to listen. To be called in the main thread."""
        for number in _SIGNALS:
            self._previous[number] = signal.signal(number, self._on_signal)
        self._limit = SignalLimit(
            dict.fromkeys(_SIGNALS, self._on_signal), self._patience, _last_words
        )
        self._limit.start()

    def call_off_limit(self) -> None:
        """Note that the iteration has ended in time."""
        if self._limit is not None:
            self._limit.call_off()

    def restore(self) -> None:
        """Give the handlers back to whom they belong."""
        for number, handler in self._previous.items():
            signal.signal(number, signal.SIG_DFL if handler is None else handler)
        self._previous.clear()
        self.call_off_limit()

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        if os.getpid() != self._pid:
            return  # a data worker: its parent decides
        if not self._is_running(frame):
            self.restore()
            os.kill(os.getpid(), number)
            return
        if not self.number:
            self._first = time.monotonic()
            if is_main_process():  # no logging here: the signal may have interrupted it
                text = (
                    f'\n{signal.Signals(number).name}: saving after this iteration, or ending without if that '
                    f'takes more than {self._patience():.0f} s; once more: ends at once\n'
                )
                os.write(2, text.encode())
        elif time.monotonic() - self._first > _REPEAT_SECONDS:
            self.restore()
            os.kill(os.getpid(), number)
            return
        self.number = max(self.number, number)


def _last_words(number: int, seconds: float) -> str:
    who = speaker(process_of(launcher_of_command()))
    return (
        f'error: {who}{signal.Signals(number).name}: the iteration has not ended within {seconds:.0f} s, '
        f'so the run ends without saving; continue from the latest checkpoint with: {resume_command()}'
    )
