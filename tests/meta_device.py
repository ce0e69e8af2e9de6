"""Models of full width without memory for their weights."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from contextlib import contextmanager
from unittest import mock

import torch
from mmengine.model import BaseModule


@contextmanager
def meta_device() -> Iterator[None]:
    """Build on the meta device. The transformers read their stochastic-depth rates from a
    ``linspace``, which therefore stays on the CPU. Nothing is initialised: mmengine compares
    the values before and after, and here there are none.
    """
    linspace = functools.partial(torch.linspace, device='cpu')
    with (
        mock.patch('torch.linspace', linspace),
        mock.patch.object(BaseModule, 'init_weights'),
        torch.device('meta'),
    ):
        yield
