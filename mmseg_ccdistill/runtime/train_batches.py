"""The batches of the train loop, with something done around each: iterators that stand in for the loop's own."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

from torch.utils.data import DataLoader

from .run_errors import is_loading_timeout

# Seconds after which torch looks whether a worker has died (MP_STATUS_CHECK_INTERVAL): with a longer
# timeout of its own it would find a dead worker that late.
_POLL_SECONDS = 5.0


class GuardedBatches:
    """Batches of which a failure is reported before it ends the run.

    Args:
        batches: The loop's iterator.
        on_failure: Called with what the data loader has raised.
    """

    def __init__(self, batches: Any, on_failure: Callable[[BaseException], None]) -> None:
        self.batches = batches
        self.on_failure = on_failure

    def __next__(self) -> Any:
        """The next batch."""
        try:
            return next(self.batches)
        except RuntimeError as error:
            self.on_failure(error)
            raise

    def __getattr__(self, name: str) -> Any:
        return getattr(self.batches, name)  # skip_iter of the train loop


class LimitedBatches:
    """Batches that must each come within a time limit.

    Args:
        batches: The loop's iterator.
        loader: Its loader.
        limit: Seconds.
    """

    def __init__(self, batches: Any, loader: DataLoader, limit: float) -> None:
        self.batches = batches
        self.loader = loader
        self.limit = limit
        self._is_polled = False

    def __next__(self) -> Any:
        """The next batch."""
        if not self._is_polled:
            self._poll()
        begin = time.monotonic()
        while True:
            try:
                return next(self.batches)
            except RuntimeError as error:
                if not is_loading_timeout(error):
                    raise
                if time.monotonic() - begin >= self.limit:
                    raise RuntimeError(
                        f'DataLoader timed out after {self.limit:g} seconds'
                    ) from error

    def __getattr__(self, name: str) -> Any:
        return getattr(self.batches, name)  # skip_iter of the train loop

    def _poll(self) -> None:
        """Have torch come back at intervals; not earlier, because skipped batches have no limit."""
        self._is_polled = True
        self.loader.timeout = min(_POLL_SECONDS, self.limit)
        started = getattr(self.batches, '_iterator', None)  # the upstream stack starts it at once
        if started is not None:
            started._timeout = self.loader.timeout


class PositionedBatches:
    """Batches of a loader that stands at the right place, for a loop that will skip to it.

    Upstream's loop resumes by taking, and loading, every batch that was trained on.

    Args:
        batches: The loader's iterator.
        skipped: How many calls of ``next`` return nothing.
    """

    def __init__(self, batches: Iterator[Any], skipped: int) -> None:
        self.batches = batches
        self.skipped = skipped

    def __next__(self) -> Any:
        """The next batch, or None for one that is skipped."""
        if self.skipped > 0:
            self.skipped -= 1
            return None
        return next(self.batches)
