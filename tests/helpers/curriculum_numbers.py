"""Random inputs of the golden numbers of GCMA and MGCDA, and rotations in degrees."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]


def normal(seed: int, *shape: int) -> Array:
    return np.random.RandomState(seed).standard_normal(shape)


def softmax(logits: Array) -> Array:
    e = np.exp(logits - logits.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def uniform(seed: int, *shape: int) -> Array:
    return np.random.RandomState(seed).random_sample(shape)


def rotation(axis: str, degrees: float) -> Array:
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    return np.array(
        {
            'x': [[1, 0, 0], [0, c, -s], [0, s, c]],
            'y': [[c, 0, s], [0, 1, 0], [-s, 0, c]],
            'z': [[c, -s, 0], [s, c, 0], [0, 0, 1]],
        }[axis]
    )


GENERIC_ROTATION = rotation('z', -1) @ rotation('y', 3) @ rotation('x', 2)
SMALL = softmax(normal(25, 60, 90, 19))
SMALL_LAB = uniform(24, 60, 90, 3) * (0.9, 0.5, 0.4)
SMALL_DARK = softmax(2 * normal(28, 60, 90, 19))
