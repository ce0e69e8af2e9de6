"""A data worker that dies or gives no batch: noted until the run asks, and put into one sentence."""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Callable
from functools import partial
from multiprocessing.process import BaseProcess
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
        self._workers: list[BaseProcess] = []

    def install(self, num_workers: int) -> None:
        """Take torch's handler over. Nothing happens before a data loader has installed it, or a second time."""
        if self._is_installed or num_workers < 1:
            return
        self._workers = multiprocessing.active_children()
        torchs = signal.getsignal(signal.SIGCHLD)
        if callable(torchs):
            self._is_installed, self._torchs = True, torchs
            signal.signal(signal.SIGCHLD, partial(self._on_child, num_workers, torchs))

    def restore(self) -> None:
        """Give torch its handler back."""
        if self._is_installed:
            signal.signal(signal.SIGCHLD, self._torchs)
            self._is_installed = False

    def note(self, error: BaseException, num_workers: int | None) -> None:
        """Keep the first failure; torch does not name the signal where it finds a dead worker by itself."""
        if not self.report:
            code = min((worker.exitcode or 0 for worker in self._workers), default=0)
            ended_by = signal.Signals(-code).name if code < 0 else ''
            self.report = describe_loading_failure(error, num_workers, ended_by)

    def sentence(self, saved: str = '') -> str:
        """Say what has happened and how to go on; without a report of its own, that of another process.

        ``saved`` is what there is of the run, ``'after iteration 7, saved as ...'``.
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
