"""Two processes for a test, forked from one that has imported everything and computed nothing."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable

import torch

# The imports take seconds: the server does them once for all tests, a spawned process would do them each time.
_IMPORTED = [
    'torch._dynamo',
    'mmengine.runner',
    'mmseg.models',
    'mmseg.datasets',
    'mmseg_ccdistill',
]


def run_two_ranks(function: Callable[..., None], *arguments: object) -> None:
    """Run a function in two processes at once and wait for both.

    Args:
        function: Of a test module; called with the rank, 0 or 1, and then the arguments.
        *arguments: Values that pickle.

    Raises:
        torch.multiprocessing.ProcessRaisedException: If one of them raises.
    """
    multiprocessing.set_forkserver_preload(_IMPORTED)
    torch.multiprocessing.start_processes(function, arguments, nprocs=2, start_method='forkserver')
