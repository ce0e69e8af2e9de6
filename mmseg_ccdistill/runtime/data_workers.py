"""The life of data workers: they outlive signals that are not their parent's, and go when it says so."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable
from typing import Any

from mmengine.runner import Runner

from .signal_limit import forget_in_child


def _exit_with_parent() -> None:
    while signal.sigwaitinfo({signal.SIGTERM}).si_pid != os.getppid():
        pass  # torchrun and Slurm signal every process of the job
    os._exit(0)  # as torch's own handler does


def init_worker(worker_id: int, then: Callable[[int], None] | None) -> None:
    """Let a data worker outlive a SIGTERM that is not its parent's: the parent saves first.

    ``then`` is what the loader does in a new worker, called with the worker's number.
    """
    forget_in_child()
    if hasattr(signal, 'sigwaitinfo'):
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
        threading.Thread(target=_exit_with_parent, daemon=True).start()
    if then is not None:
        then(worker_id)


def end_workers(runner: Runner) -> None:
    """Let the data workers go now; collected with the runner, each of them takes five seconds."""
    loop: Any = runner.train_loop
    loop.dataloader_iterator = None
    loaders = (
        [loop.dataloader] if runner.val_loop is None else [loop.dataloader, runner.val_dataloader]
    )
    for loader in loaders:
        if getattr(loader, '_iterator', None) is not None:  # persistent workers
            loader._iterator = None
