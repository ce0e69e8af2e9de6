"""One number on which the processes of a run agree, between the hosts: no device is waited for."""

from __future__ import annotations

import datetime
from typing import Any

import torch
from torch import distributed as torch_dist

from .run_errors import lost_rank


class RankConsensus:
    """Agreement over gloo; a single process agrees with itself.

    Args:
        timeout: Seconds that one process waits for another.
    """

    def __init__(self, timeout: float) -> None:
        self._timeout = datetime.timedelta(seconds=timeout)
        self._group: Any = None

    @property
    def is_alone(self) -> bool:
        """Whether there is no other process to agree with."""
        return self._group is None

    def open(self) -> None:
        """Open a group of the processes. To be called in all of them.

        Raises:
            RuntimeError: If the hosts cannot reach one another; the process is alone then.
        """
        try:
            self._group = torch_dist.new_group(backend='gloo', timeout=self._timeout)
            self.largest(0)
        except RuntimeError:
            self._group = None
            raise

    def largest(self, number: int) -> int:
        """Largest of the processes' numbers. To be called in all of them.

        Raises:
            LostRankError: If another process has ended, or hangs for longer than the timeout.
        """
        if self._group is None:
            return number
        value = torch.tensor(number)
        try:
            torch_dist.all_reduce(value, torch_dist.ReduceOp.MAX, group=self._group)
        except RuntimeError as error:
            lost = lost_rank(error)
            if lost is None:
                raise
            raise lost from error
        return int(value)
