"""Which modules and losses keep the activations of an iteration of the paper's config."""

from __future__ import annotations

import sys
from collections import Counter
from typing import Any
from unittest import mock

import torch
from mmengine.config import Config
from torch import nn

from benchmarks import step_cost
from benchmarks.iteration_cost import build, count_iteration
from benchmarks.performance.counted_iteration import MODES
from benchmarks.performance.sizes import Sizes

_PLACES = ('mmseg_ccdistill', 'mmseg')


def profile_memory(sizes: Sizes) -> dict[str, dict[str, Any]]:
    """MiB by the module or function that made autograd keep them, at the moment when most are kept."""
    return {
        f'kept by an iteration, {name}': dict(unit='MiB', parts=_kept_by(name))
        for name in MODES
        if 'early' not in name
    }


class _KeptBy(step_cost.Kept):
    """Kept bytes by who made autograd keep them, at the moment when there were most."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__(model)
        self.owners: dict[int, str] = {}
        self.by_owner: Counter[str] = Counter()
        self.at_most: Counter[str] = Counter()

    def take(self, storage: torch.UntypedStorage) -> None:
        before, most = self.now, self.most
        super().take(storage)
        if self.now > before:
            owner = self.owners[storage._cdata] = _owner()
            self.by_owner[owner] += self.now - before
        if self.most > most:
            self.at_most = self.by_owner.copy()

    def drop(self, storage: torch.UntypedStorage) -> None:
        before = self.now
        super().drop(storage)
        if self.now < before:
            self.by_owner[self.owners.pop(storage._cdata)] -= before - self.now


def _owner() -> str:
    """The module, or else the function, of this package or of mmseg in which the step is."""
    frame = sys._getframe(2)
    while frame.f_back is not None:
        name = frame.f_globals.get('__name__', '')
        if name.split('.')[0] in _PLACES:
            module = frame.f_locals.get('self')
            if isinstance(module, nn.Module):
                return type(module).__name__
            return frame.f_code.co_name.strip('_')
        frame = frame.f_back
    return 'others'


def _kept_by(name: str) -> dict[str, float]:
    path, dtype, early = MODES[name]
    config = Config.fromfile(str(path))
    config.model.early_decoder_backward = early
    counters: list[_KeptBy] = []

    def counter(model: nn.Module) -> _KeptBy:
        counters.append(_KeptBy(model))
        return counters[-1]

    with mock.patch.object(step_cost, 'Kept', counter):
        count_iteration(build(config), dtype)
    return {owner: size / 2**20 for owner, size in counters[-1].at_most.items() if size}
