"""Reads of values in a step: each would make the host wait for a GPU."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any
from unittest import mock

import torch
from torch.utils._python_dispatch import TorchDispatchMode

from benchmarks.gpu.settings import make_settings
from benchmarks.gpu.training import PAPER, Mode, Training, load_config
from benchmarks.performance.sizes import Sizes
from benchmarks.row_running import NotHere

#: Operators whose result, or the size of it, the host must know before it goes on.
_READING = ('_local_scalar_dense', 'nonzero', 'masked_select', 'equal', '_unique2', 'is_nonzero')
#: Methods of a tensor that copy it to the host without an operator when it is there already.
_COPYING = ('cpu', 'numpy', 'tolist')
#: Neither logged nor diagnosed.
_PLAIN_ITERATION = 101


class _Reads(TorchDispatchMode):
    """Counts reading operators, and indices that are masks."""

    def __init__(self, counts: Counter[str]) -> None:
        super().__init__()
        self.counts = counts

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple = (), kwargs: dict | None = None
    ) -> Any:
        name = func.overloadpacket.__name__
        is_mask = name in ('index', 'index_put', 'index_put_') and any(
            index is not None and index.dtype in (torch.bool, torch.uint8) for index in args[1]
        )
        if name in _READING or is_mask:
            self.counts[name] += 1
        return func(*args, **(kwargs or {}))


@contextmanager
def count_reads() -> Iterator[Counter[str]]:
    """Count the reads of values by name of the operator or method."""
    counts: Counter[str] = Counter()
    with ExitStack() as stack:
        for name in _COPYING:
            method = getattr(torch.Tensor, name)

            def copying(*args: Any, _name: str = name, _method: Any = method, **kw: Any) -> Any:
                counts[_name] += 1
                return _method(*args, **kw)

            stack.enter_context(mock.patch.object(torch.Tensor, name, copying))
        stack.enter_context(_Reads(counts))
        yield counts


def waits_row(sizes: Sizes) -> dict[str, Any]:
    """Reads of values in an iteration that is not logged: step, optimizer, guards and log hook.

    The config is the paper's with narrow layers, on the CPU; the number does not depend on their width. The optimizer
    is the fused one, which the guards choose on a GPU.

    Raises:
        NotHere: If this torch has no fused SGD for a CPU.
    """
    settings = make_settings(tiny=True)
    config = load_config(PAPER, settings)
    config.optim_wrapper.optimizer.fused = True
    try:
        training = Training(settings, config, Mode())
        training.step()
    except RuntimeError as error:
        raise NotHere(f'torch {torch.__version__} has no fused SGD for a CPU') from error
    training.skip_to(_PLAIN_ITERATION)
    with count_reads() as counts:
        training.step()
    return dict(reads=dict(value=float(sum(counts.values()))), by_name=dict(counts))
