from __future__ import annotations

import pytest
import torch

from mmseg_ccdistill.models.precision import autocast_off, full_precision


@pytest.mark.parametrize(
    ('dtype', 'expected'),
    [
        (torch.float16, torch.float32),
        (torch.bfloat16, torch.float32),
        (torch.float32, torch.float32),
        (torch.float64, torch.float64),
    ],
)
def test_full_precision(dtype: torch.dtype, expected: torch.dtype) -> None:
    tensor = torch.ones(3, dtype=dtype, requires_grad=True)
    result = full_precision(tensor)
    assert result.dtype == expected and (result is tensor) == (dtype == expected)
    result.sum().backward()
    assert tensor.grad is not None and tensor.grad.dtype == dtype


def test_autocast_is_off_inside_and_back_on_outside() -> None:
    a = torch.ones(2, 2)
    with torch.autocast('cpu', dtype=torch.bfloat16):
        with autocast_off(a):
            assert (a @ a).dtype == torch.float32
        assert (a @ a).dtype == torch.bfloat16


def test_meta_device_has_no_autocast() -> None:
    with autocast_off(torch.empty(1, device='meta')):
        pass
