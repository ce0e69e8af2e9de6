"""How a run ends when it cannot go on: one sentence with the cause and the command that continues it."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import signal
import sys
from pathlib import Path

from ..errors import PlainError, RunError, UserInputError

#: Where the data workers of a Linux system put their batches.
SHARED_MEMORY = '/dev/shm'
_WORKER_DEATH = re.compile(r'DataLoader worker \(pid\(?s?\)? [\d, ]+\)')
_LOADING_TIMEOUT = re.compile(r'DataLoader timed out after (?P<seconds>[\d.]+) seconds')
_KILLED_BY = re.compile(r'killed by signal: (?P<name>[^.]+)\.')
_EXIT_CODE = re.compile(r'exited unexpectedly with exit code (?P<code>\d+)')
# What gloo, NCCL and torch say when another process is gone or does not answer. The words differ
# between versions; the path of gloo's source file does not.
_LOST_RANK = re.compile(
    r'gloo/transport|Connection (closed|reset) by (remote )?peer|NCCL (error|communicator)|'
    r'Timed? ?out (after \d+ ?\w+ )?waiting for|client socket has timed out|'
    r'ncclRemoteError|ncclSystemError|ProcessGroup',
)
_PORT_IN_USE = re.compile(r'EADDRINUSE|[Aa]ddress already in use')


class DataWorkerError(RunError):
    """A data loading process has died."""


class LostRankError(RunError):
    """Another process of the run has ended or does not answer."""


class StoppedBySignal(SystemExit):  # noqa: N818  (an exit, not an error)
    """The run was saved and ends with code 128 + the signal's number, as a shell reports it."""


def resume_command() -> str:
    """The command line that continues this run, with ``--resume``, and torchrun before it if torchrun started it."""
    arguments = [*sys.argv] if '--resume' in sys.argv else [*sys.argv, '--resume']
    is_subcommand = arguments[0] == 'ccdistill train'
    if not (is_subcommand or arguments[0].endswith('train.py')):
        return 'the same program with resume=True in its config'
    program = ['-m', 'ccdistill', 'train'] if is_subcommand else arguments[:1]
    words = [*program, *arguments[1:]]
    if 'TORCHELASTIC_RUN_ID' in os.environ:
        count = os.environ.get('LOCAL_WORLD_SIZE', '1')
        return shlex.join(['torchrun', f'--nproc_per_node={count}', *words])
    if 'SLURM_PROCID' in os.environ and '--launcher' in arguments:
        return shlex.join(['srun', 'python', *words])
    return shlex.join(words[1:] if is_subcommand else ['python', *words])


def is_loading_timeout(error: BaseException) -> bool:
    """Tell whether torch's data loader says with this error that no batch has come in time."""
    return isinstance(error, RuntimeError) and _LOADING_TIMEOUT.search(str(error)) is not None


def is_loading_failure(error: BaseException) -> bool:
    """Tell whether torch's data loader says that one of its processes died or that no batch came."""
    if is_loading_timeout(error):
        return True
    return isinstance(error, RuntimeError) and _WORKER_DEATH.search(str(error)) is not None


def describe_loading_failure(
    error: BaseException, num_workers: int | None, ended_by: str = ''
) -> str:
    """Say how a data worker died or that none gave a batch, what memory there is, what to change.

    Args:
        error: What the data loader raised, see :func:`is_loading_failure`.
        num_workers: Workers of the loader, if it is known.
        ended_by: Name of the signal that ended one of them, for where torch does not name it.

    Returns:
        Most of a sentence, without a full stop: the caller adds how to continue.
    """
    silence = _LOADING_TIMEOUT.search(str(error))
    if silence is not None:
        who = f'The {num_workers} data workers have' if num_workers else 'The data workers have'
        return (
            f'{who} given no batch for {float(silence["seconds"]):g} s, as happens when shared memory runs out '
            f'or the storage does not answer; {memory_text()}; give the container more shared memory '
            '(docker run --shm-size=8g), use fewer train_dataloader.num_workers or, for slow storage, '
            'raise train_dataloader.timeout'
        )
    # Where a loader waits for a batch, torch wraps what its own handler has raised.
    text = f'{error} {error.__cause__ or ""}'
    killed, code = _KILLED_BY.search(text), _EXIT_CODE.search(text)
    how = 'exited unexpectedly'
    fix = 'use fewer train_dataloader.num_workers'
    name = ended_by if killed is None else _signal_name(killed['name'])
    if name:
        how = f'was killed by {name}'
        if name == 'SIGKILL':
            how += ', as the system does when memory runs out'
        elif name == 'SIGBUS':
            how += ', as happens when shared memory runs out'
            fix += ' or give the container more shared memory (docker run --shm-size=8g)'
    elif code is not None:
        how = f'exited with code {code["code"]}'
    among = f' (one of {num_workers})' if num_workers else ''
    return f'A data worker{among} {how}; {memory_text()}; {fix}'


def _signal_name(description: str) -> str:
    """``SIGKILL`` for the C library's ``Killed``; the description itself if it is unknown."""
    names = {signal.strsignal(number): number.name for number in signal.Signals}
    return names.get(description.strip(), description.strip())


def memory_text() -> str:
    """Free memory of this machine, as ``'3.1 of 8.0 GB of /dev/shm and 12.4 GB of memory are free'``, in 1e9 bytes."""
    parts = []
    if os.path.isdir(SHARED_MEMORY):
        usage = shutil.disk_usage(SHARED_MEMORY)
        parts.append(f'{usage.free / 1e9:.1f} of {usage.total / 1e9:.1f} GB of {SHARED_MEMORY}')
    facts = Path('/proc/meminfo')
    found = re.search(r'MemAvailable:\s+(\d+) kB', facts.read_text()) if facts.is_file() else None
    if found is not None:
        parts.append(f'{int(found[1]) * 1024 / 1e9:.1f} GB of memory')
    return f'{" and ".join(parts)} are free' if parts else 'the free memory is not known here'


def lost_rank(error: BaseException) -> LostRankError | None:
    """The error to report where another process of the run is gone; None if it is something else, or there is none."""
    if isinstance(error, LostRankError):
        return error
    if int(os.environ.get('WORLD_SIZE', '1')) < 2 or not isinstance(error, RuntimeError):
        return None
    if _LOST_RANK.search(str(error)) is None:
        return None
    reason = str(error).strip().splitlines()[0][:200]
    return LostRankError(
        f'another process of this run has ended or does not answer ({reason}); see what that process '
        f'printed, then continue from the latest checkpoint with: {resume_command()}'
    )


def port_in_use(error: BaseException) -> str | None:
    """The sentence for an error that says that the port on which the processes meet is taken; None for another."""
    if not isinstance(error, RuntimeError | OSError) or not _PORT_IN_USE.search(str(error)):
        return None
    port = os.environ.get('MASTER_PORT', '29500')
    return (
        f'port {port} is in use by another program: expected a free one, on which the processes of this '
        f'run meet; choose another with PORT=... bash tools/dist_train.sh, or with MASTER_PORT=... '
        'in the environment where that script is not used'
    )


def ending_of(error: BaseException) -> tuple[str, int] | None:
    """Put an error that ends a run into one sentence, if it is one that can.

    Returns:
        ``(sentence, exit code)`` of a :class:`PlainError`; for a port in use (2); for
        what torch says of dead workers and lost processes (1). None for anything else, a fault of the code.
    """
    if isinstance(error, PlainError):
        return str(error), error.exit_code
    in_input = port_in_use(error)
    if in_input is not None:
        return in_input, UserInputError.exit_code
    if is_loading_failure(error):
        if isinstance(error.__cause__, DataWorkerError):
            return str(error.__cause__), RunError.exit_code
        report = describe_loading_failure(error, None)
        return f'{report}; then run it again.', RunError.exit_code
    lost = lost_rank(error)
    return None if lost is None else (str(lost), RunError.exit_code)
