from __future__ import annotations

import pytest
import torch

TORCH = tuple(int(part) for part in torch.__version__.split('.')[:2])


@pytest.fixture(params=[torch.bfloat16, torch.float16], ids=['bfloat16', 'float16'])
def half_dtype(request: pytest.FixtureRequest) -> torch.dtype:
    """The types of mixed precision that autocast knows on a CPU."""
    if request.param is torch.float16 and TORCH < (2, 3):
        pytest.skip('torch before 2.3 has no float16 autocast on a CPU')
    return request.param
