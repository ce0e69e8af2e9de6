import os
from pathlib import Path

import pytest
import torch

ROOT = Path(__file__).resolve().parents[1]

# The tests' tensors are small: more threads only get in each other's way.
torch.set_num_threads(1)
os.environ.setdefault('OMP_NUM_THREADS', '1')


@pytest.fixture(scope='session')
def repository_root() -> Path:
    return ROOT


@pytest.fixture(scope='session')
def real_data() -> Path:
    """Real driving frames in Cityscapes and Dark Zurich layout, if they lie beside the checkout."""
    folder = ROOT.parent / 'shared' / 'data' / 'real'
    if not (folder / 'cityscapes').is_dir():
        pytest.skip('the real images (shared/data/real beside the checkout) are not there')
    return folder
