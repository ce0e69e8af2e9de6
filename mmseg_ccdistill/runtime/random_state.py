"""Random generators of a worker process: save, restore and seed them together.

The transforms of MMSegmentation draw from the global generators of ``random``, numpy and torch. One
draw of the day-night recipe therefore owns the global state for as long as its pipelines run, and
hands it back untouched.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor


class RandomState(NamedTuple):
    """State of the three generators that transforms draw from.

    Attributes:
        python: State of the module ``random``.
        numpy: State of numpy's global ``RandomState``.
        torch: State of torch's CPU generator, uint8 ``(n,)``.
    """

    python: tuple[Any, ...]
    numpy: dict[str, Any]
    torch: Tensor


def get_random_state() -> RandomState:
    """Read the state of the global generators (CPU only; CUDA generators are never touched)."""
    return RandomState(random.getstate(), np.random.get_state(legacy=False), torch.get_rng_state())


def set_random_state(state: RandomState) -> None:
    """Set the global generators to ``state``."""
    random.setstate(state.python)
    np.random.set_state(state.numpy)
    torch.set_rng_state(state.torch)


def same_random_state(first: RandomState, second: RandomState) -> bool:
    """Say whether two states produce the same numbers from here on."""
    ours, theirs = first.numpy['state'], second.numpy['state']
    return (
        first.python == second.python
        and ours['pos'] == theirs['pos']
        and np.array_equal(ours['key'], theirs['key'])
        and torch.equal(first.torch, second.torch)
    )


def seed_generators(sequence: np.random.SeedSequence) -> None:
    """Seed ``random``, numpy and torch's CPU generator from independent parts of one sequence.

    Equal sequences give equal states on every platform.
    """
    words = sequence.generate_state(8)
    random.seed(int(words[0]) << 32 | int(words[1]))
    # torch.manual_seed would also reset the CUDA generators of the training process (num_workers=0)
    torch.default_generator.manual_seed(int(words[2] & 0x7FFFFFFF) << 32 | int(words[3]))
    np.random.seed(words[4:8])


@contextmanager
def seeded(sequence: np.random.SeedSequence) -> Iterator[None]:
    """Run a block on freshly seeded generators and restore the caller's streams afterwards."""
    before = get_random_state()
    seed_generators(sequence)
    try:
        yield
    finally:
        set_random_state(before)


def side_stream(number: int) -> np.random.RandomState:
    """Random numbers of a transform's own, which leave the global generators where they are.

    They follow from the state of numpy's global generator, so within :func:`seeded` they belong to the draw. Streams of
    different numbers are independent; each is numpy's frozen stream.
    """
    state = np.random.get_state(legacy=False)['state']
    words = [int(word) for word in state['key'][:8]]
    sequence = np.random.SeedSequence([*words, int(state['pos'])], spawn_key=(number,))
    return np.random.RandomState(np.random.MT19937(sequence))
