"""Which of several processes this one is, as its launcher says."""

from __future__ import annotations

import argparse
import os
import re
import sys
from typing import NamedTuple

#: The variables in which each launcher tells a process its rank, the number of processes and its rank
#: within the node.
RANK_VARIABLES = {
    'pytorch': ('RANK', 'WORLD_SIZE', 'LOCAL_RANK'),
    'slurm': ('SLURM_PROCID', 'SLURM_NTASKS', 'SLURM_LOCALID'),
    'mpi': (
        'OMPI_COMM_WORLD_RANK',
        'OMPI_COMM_WORLD_SIZE',
        'OMPI_COMM_WORLD_LOCAL_RANK',
    ),
}
# The processes of this node. Slurm writes 4, or 4(x2) for two nodes of four, or 4,3.
_LOCAL_COUNT_VARIABLES = {
    'pytorch': 'LOCAL_WORLD_SIZE',
    'slurm': 'SLURM_TASKS_PER_NODE',
    'mpi': 'OMPI_COMM_WORLD_LOCAL_SIZE',
}


class Process(NamedTuple):
    """One process of a run.

    Attributes:
        rank: Its number, from 0.
        world_size: Number of processes.
        local_rank: Its number on this node, from 0.
        local_world_size: Number of processes on this node.
    """

    rank: int = 0
    world_size: int = 1
    local_rank: int = 0
    local_world_size: int = 1


def launcher_of_command() -> str:
    """Read ``--launcher`` from the command line of this process; ``'none'`` where there is none.

    A variable such as ``RANK`` alone says nothing: a cluster may set it for every program.
    """
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument('--launcher', nargs='?', const='none', default='none')
    return str(parser.parse_known_args(sys.argv[1:])[0].launcher)


def process_of(launcher: str) -> Process:
    """Which process this is, by the environment of a launcher (``'none'`` or a key of ``RANK_VARIABLES``).

    The only one if the launcher is ``'none'`` or its variables are missing.
    """
    names = RANK_VARIABLES.get(launcher, ())
    values = [os.environ.get(name, '') for name in names]
    if not values or not values[0].isdigit() or not values[1].isdigit():
        return Process()
    rank, count = int(values[0]), int(values[1])
    local_rank = int(values[2]) if values[2].isdigit() else 0
    found = re.match(r'\d+', os.environ.get(_LOCAL_COUNT_VARIABLES[launcher], ''))
    return Process(rank, count, local_rank, int(found[0]) if found else 1)


def speaker(process: Process) -> str:
    """Say which process speaks: ``'rank 3: '``, or nothing if there is one process."""
    return f'rank {process.rank}: ' if process.world_size > 1 else ''
