from __future__ import annotations

import random

import numpy as np
import pytest
import torch

from mmseg_ccdistill.runtime.random_state import (
    get_random_state,
    same_random_state,
    seed_generators,
    seeded,
    set_random_state,
)


def draw() -> tuple[float, float, float]:
    """The next number of each global generator."""
    return random.random(), float(np.random.rand()), float(torch.rand(()))


def test_a_state_that_is_set_again_gives_the_same_numbers() -> None:
    state = get_random_state()
    first = draw()
    set_random_state(state)
    assert draw() == first


@pytest.mark.parametrize(
    'move',
    [random.random, np.random.rand, lambda: torch.rand(())],
    ids=['python', 'numpy', 'torch'],
)
def test_one_draw_of_any_generator_makes_another_state(move) -> None:
    state = get_random_state()
    assert same_random_state(state, get_random_state())
    move()
    assert not same_random_state(state, get_random_state())


def test_equal_sequences_seed_equally_and_their_parts_are_independent() -> None:
    seed_generators(np.random.SeedSequence(5))
    first = draw()
    seed_generators(np.random.SeedSequence(5))
    assert draw() == first
    seed_generators(np.random.SeedSequence(6))
    assert all(a != b for a, b in zip(draw(), first, strict=True))


@pytest.mark.parametrize('fails', [False, True])
def test_a_seeded_block_hands_the_streams_back(fails: bool) -> None:
    state = get_random_state()
    try:
        with seeded(np.random.SeedSequence(1)):
            inside = draw()
            if fails:
                raise KeyError('a transform failed')
    except KeyError:
        assert fails
    assert same_random_state(state, get_random_state())
    assert draw() != inside
