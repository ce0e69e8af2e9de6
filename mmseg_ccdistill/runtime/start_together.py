"""Processes start together or end together: each learns what the checks of the others have found.

Every process looks at the files of its own node before anything is built. What it finds goes through
the key-value store of the launcher's rendezvous, which needs no process group and no device. So a
file that is missing on one node ends the processes of all nodes, each with the sentence.
"""

from __future__ import annotations

import datetime
import json
import os
import time
from collections.abc import Callable
from typing import Any

from torch import distributed as torch_dist

from ..errors import UserInputError
from .ranks import Process
from .run_errors import LostRankError

#: The port that torchrun and mmengine use when none is named.
DEFAULT_PORT = '29500'
#: Seconds until a process that says nothing counts as lost: torch's own limit for starting together.
_LIMIT_SECONDS = 1800.0
# A process that has failed stays for the others to hear of it: until all have, or for that long.
_FAREWELL_SECONDS = 30.0
_POLL_SECONDS = 0.1

# The store of this process: if it is that of rank 0, its end would end the others' connection.
_store: Any = None
_is_over = False


class OtherRankError(UserInputError):
    """The start-up checks of another process have failed; the message holds its sentence."""


def others_sentence(rank: int, sentence: str) -> str:
    """Put the sentence of another process into one of this process: ``'rank 1 reported an error: ...'``."""
    return f'rank {rank} reported an error: {sentence}'


def start_together(process: Process) -> None:
    """Report that the checks of this process have passed, and wait for those of the others.

    Args:
        process: This process. Nothing is done for a single one, or where the launcher leaves the
            address of the first process to be found out later (Slurm without ``MASTER_ADDR``).

    Raises:
        OtherRankError: If the checks of another process have failed.
        LostRankError: If one says nothing for half an hour.
    """
    global _is_over
    if not _can_share(process) or _is_over:
        return
    store = _open_store(process, _LIMIT_SECONDS)
    store.add('passed', 1)
    _wait_for(store, lambda: store.add('passed', 0) >= process.world_size)
    _is_over = True


def told_by_first(process: Process, name: str, find: Callable[[], str]) -> str:
    """Have the first process find something out before the start, and tell the others.

    Args:
        process: This process. A single one finds it out by itself, and so does each where they cannot share.
        name: What it is, the same in all processes.
        find: Finds it out; called in the first process alone. What it raises ends that process, and the others with
            its sentence.

    Raises:
        OtherRankError: If another process has failed in the meantime.
        LostRankError: If the first says nothing for half an hour.
    """
    if not _can_share(process) or _is_over:
        return find()
    if process.rank == 0:
        found = find()
        store = _open_store(process, _LIMIT_SECONDS)
        store.set(name, found)
        store.add(f'{name} is told', 1)
        return found
    store = _open_store(process, _LIMIT_SECONDS)
    _wait_for(store, lambda: store.add(f'{name} is told', 0) > 0)
    return str(store.get(name).decode())


def _wait_for(store: Any, is_done: Callable[[], bool]) -> None:
    """Wait, unless another process fails, for all that it takes, or says nothing for too long."""
    deadline = time.monotonic() + _LIMIT_SECONDS
    while store.add('failed', 0) == 0:
        if is_done():
            return
        if time.monotonic() > deadline:
            raise LostRankError(
                f'another process of this run has said nothing for {_LIMIT_SECONDS:.0f} s; see what '
                'it printed, then start all of them again'
            )
        time.sleep(_POLL_SECONDS)
    rank, sentence = json.loads(store.get('sentence'))
    raise OtherRankError(others_sentence(rank, sentence))


def end_together(process: Process, error: BaseException, sentence: str) -> None:
    """Tell the others that this process ends before the start, and let all speak before one is gone.

    A launcher ends all processes of a node as soon as one has failed. To be called after this
    process has printed its sentence.
    """
    global _is_over
    if not _can_share(process) or _is_over:
        return
    _is_over = True
    try:
        store = _open_store(process, _FAREWELL_SECONDS)
        if not isinstance(error, OtherRankError):
            store.set('sentence', json.dumps([process.rank, sentence]))
            store.add('failed', 1)
        store.add('left', 1)
        deadline = time.monotonic() + _FAREWELL_SECONDS
        while store.add('left', 0) < process.world_size and time.monotonic() < deadline:
            time.sleep(_POLL_SECONDS)
        time.sleep(_POLL_SECONDS)  # the store may live in this process: the others' last answer
    except RuntimeError:
        return  # the first process cannot be reached: this one has spoken, and ends


def leave_store() -> None:
    """Drop the store: its thread ends while the interpreter lives, at whose own end it may abort the process."""
    global _store
    _store = None


def _can_share(process: Process) -> bool:
    return process.world_size > 1 and torch_dist.is_available() and 'MASTER_ADDR' in os.environ


def _open_store(process: Process, seconds: float) -> Any:
    """The launcher's store, under keys of our own; those of each attempt of torchrun are others."""
    global _store
    if _store is None:
        os.environ.setdefault('MASTER_PORT', DEFAULT_PORT)
        timeout = datetime.timedelta(seconds=seconds)
        found = torch_dist.rendezvous('env://', process.rank, process.world_size, timeout=timeout)
        _store = next(found)[0]
    attempt = os.environ.get('TORCHELASTIC_RESTART_COUNT', '0')
    return torch_dist.PrefixStore(f'start_together/{attempt}', _store)
