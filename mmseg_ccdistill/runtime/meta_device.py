"""Models of full width without memory for their weights."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from contextlib import contextmanager
from unittest import mock

import torch


@contextmanager
def meta_device() -> Iterator[None]:
    """Build on the meta device: models of full width without memory for their weights.

    The transformers read their stochastic-depth rates from a ``linspace``, which therefore stays on the CPU.
    """
    linspace = functools.partial(torch.linspace, device='cpu')
    with mock.patch('torch.linspace', linspace), torch.device('meta'):
        yield
