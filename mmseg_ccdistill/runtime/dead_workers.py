"""A data worker that dies or gives no batch: noted until the run asks, and put into one sentence."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from functools import partial
from typing import Any

from .run_errors import DataWorkerError, describe_loading_failure, resume_command


class WorkerWatch:
    """Takes over the news of dead workers from torch, which would raise wherever the main thread is.

    Attributes:
        report: What has happened, most of a sentence; empty as long as nothing has.
        raises_at_once: Whether a death raises where it is noticed, because the loop waits for that
            worker's batch.
    """

    def __init__(self) -> None:
        self.report = ''
        self.raises_at_once = False
        self._pid = os.getpid()
        self._is_installed = False
        self._torchs: Any = None

    def install(self, num_workers: int) -> None:
        """Take torch's handler over. Nothing happens before a data loader has installed it, or a second time."""
        if self._is_installed:
            return
        torchs = signal.getsignal(signal.SIGCHLD)
        if callable(torchs):
            self._is_installed, self._torchs = True, torchs
            signal.signal(signal.SIGCHLD, partial(self._on_child, num_workers, torchs))

    def restore(self) -> None:
        """Give torch its handler back."""
        if self._is_installed:
            signal.signal(signal.SIGCHLD, self._torchs)
            self._is_installed = False

    def note(self, error: BaseException, num_workers: int | None, ended_by: str = '') -> None:
        """Keep the first failure.

        Args:
            error: What the data loader raised.
            num_workers: Workers of the loader, if it is known.
            ended_by: Name of the signal that ended one of them, if it is known.
        """
        if not self.report:
            self.report = describe_loading_failure(error, num_workers, ended_by)

    def sentence(self, saved: str = '') -> str:
        """Say what has happened and how to go on.

        Args:
            saved: What there is of the run, ``'after iteration 7, saved as ...'``.

        Returns:
            The sentence; without a report of its own, that of another process.
        """
        report = self.report or 'Another process reports that one of its data workers died'
        end = f'the run ends {saved}' if saved else 'the run ends'
        return f'{report}; {end}; continue with: {resume_command()}'

    def _on_child(self, num_workers: int, torchs: Callable, number: int, frame: Any) -> None:
        if os.getpid() != self._pid:
            return
        try:
            torchs(number, frame)
        except RuntimeError as error:
            self.report = describe_loading_failure(error, num_workers)
            if self.raises_at_once:
                raise DataWorkerError(self.sentence()) from error
