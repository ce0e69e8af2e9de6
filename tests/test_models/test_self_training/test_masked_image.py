"""The masked image against MIC's numbers."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from mmseg_ccdistill.datasets.transforms.draw_mixing import patch_grid
from mmseg_ccdistill.models.self_training.masked_image import hide_patches

UNIFORMS = torch.from_numpy(np.random.RandomState(5).random_sample((1, 8, 8)))


def test_hidden_patches() -> None:
    found = hide_patches(torch.ones(1, 3, 128, 128), UNIFORMS, 0.7)
    cells = found[0, 0, ::16, ::16]
    assert cells.sum() == 20 and cells[0].tolist() == [0, 1, 0, 1, 0, 0, 1, 0]
    assert torch.equal(
        found, cells.repeat_interleave(16, 0).repeat_interleave(16, 1).expand(1, 3, 128, 128)
    )


def test_nothing_is_hidden_at_ratio_0() -> None:
    images = torch.randn(1, 3, 20, 30)
    assert torch.equal(hide_patches(images, UNIFORMS, 0.0), images)


@pytest.mark.parametrize(
    ('size', 'block', 'grid'),
    [
        ((80, 80), 32, (2, 2)),
        ((80, 80), 16, (5, 5)),
        ((540, 960), 64, (8, 15)),
        ((9, 9), 64, (1, 1)),
    ],
)
def test_grid(size: tuple[int, int], block: int, grid: tuple[int, int]) -> None:
    """Python's rounding: 2.5 is 2."""
    assert patch_grid(size, block) == grid
