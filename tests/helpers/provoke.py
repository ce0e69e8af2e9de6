"""Hook that does to a run, after a chosen iteration, what the world does to it."""

from __future__ import annotations

import ctypes
import multiprocessing
import os
import signal
import time
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from mmengine.dist import get_rank
from mmengine.hooks import Hook
from mmseg.registry import HOOKS


@HOOKS.register_module(force=True)
class Provoke(Hook):
    """Provoke something once.

    Args:
        at: Iteration, from 1, in which it happens; None for never.
        what: ``'SIGTERM'``, ``'SIGINT'``, …: this process gets the signal; ``'worker SIGKILL'``, …:
            one of its data workers gets it; ``'group SIGTERM'``: it and all its children; a file
            name: that file is overwritten with noise; ``'ids FILE'``: with a label of class 24;
            ``'error'``: a ``ZeroDivisionError`` ends the run; ``'hang'``: the main thread never comes
            back from a call of C, as from a collective that nobody answers.
        times: How often.
        rank: The process that does it.
        in_val: In the validation after the iteration, or in a test, instead of the iteration.
        once: Do nothing if this file exists, else write it.
    """

    priority = 'HIGH'
    saves: list[int] = []  # iterations of all checkpoints of this process

    def __init__(
        self,
        at: int | None = None,
        what: str = '',
        times: int = 1,
        rank: int = 0,
        in_val: bool = False,
        once: str | None = None,
    ) -> None:
        self.at = at
        self.what = what
        self.times = times
        self.rank = rank
        self.in_val = in_val
        self.once = once

    def after_train_iter(
        self, runner: Any, batch_idx: int, data_batch: Any = None, outputs: Any = None
    ) -> None:
        if not self.in_val and runner.iter + 1 == self.at:
            self._provoke()

    def after_val_iter(
        self, runner: Any, batch_idx: int, data_batch: Any = None, outputs: Any = None
    ) -> None:
        if self.in_val and runner.iter == self.at and batch_idx == 0:
            self._provoke()

    def after_test_iter(
        self, runner: Any, batch_idx: int, data_batch: Any = None, outputs: Any = None
    ) -> None:
        if self.in_val and batch_idx == 0:
            self._provoke()

    def before_save_checkpoint(self, runner: Any, checkpoint: dict) -> None:
        self.saves.append(checkpoint['meta']['iter'])

    def _provoke(self) -> None:
        if get_rank() != self.rank:
            return
        if self.once is not None:
            if Path(self.once).exists():
                return
            Path(self.once).touch()
        for _ in range(self.times):
            self._do(*self.what.rpartition(' ')[::2])

    def _do(self, whom: str, what: str) -> None:
        if what == 'error':
            raise ZeroDivisionError
        if what == 'hang':
            library, lock = ctypes.CDLL(None), ctypes.create_string_buffer(64)
            for _ in range(2):  # the second time waits for the first, whatever the signals
                library.pthread_mutex_lock(lock)
        if whom == 'ids':
            cv2.imwrite(what, np.full((48, 64), 24, np.uint8))
            return
        if not what.startswith('SIG'):
            Path(what).write_bytes(bytes(200))
            return
        number = getattr(signal, what)
        if whom == 'worker':
            worker = multiprocessing.active_children()[0]
            assert worker.pid is not None
            os.kill(worker.pid, number)
            if number == signal.SIGKILL:
                os.waitid(os.P_PID, worker.pid, os.WEXITED | os.WNOWAIT)  # dead, not yet collected
            time.sleep(0.3)
        elif whom == 'group':
            os.killpg(0, number)
            time.sleep(0.5)
        else:
            os.kill(os.getpid(), number)
