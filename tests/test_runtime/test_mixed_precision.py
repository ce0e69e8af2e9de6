"""Mixed precision by one switch."""

from __future__ import annotations

import pytest
from mmengine.config import Config

from mmseg_ccdistill.errors import UserInputError
from mmseg_ccdistill.runtime import mixed_precision


def test_amp_needs_an_accelerator(monkeypatch) -> None:
    config = Config(dict(optim_wrapper=dict(type='OptimWrapper')))
    monkeypatch.setattr(mixed_precision, 'get_device', lambda: 'cpu')
    with pytest.raises(UserInputError, match='--amp needs a GPU'):
        mixed_precision.enable_amp(config)
    monkeypatch.setattr(mixed_precision, 'get_device', lambda: 'cuda')
    monkeypatch.setattr('torch.cuda.is_available', lambda: True)
    for capability, dtype in (((7, 5), 'float16'), ((9, 0), 'bfloat16')):
        config = Config(dict(optim_wrapper=dict(type='OptimWrapper')))
        monkeypatch.setattr('torch.cuda.get_device_capability', lambda value=capability: value)
        mixed_precision.enable_amp(config)
        assert config.optim_wrapper.type == 'AmpOptimWrapper'
        assert config.optim_wrapper.dtype == dtype
    with pytest.raises(UserInputError, match='not ApexOptimWrapper'):
        mixed_precision.enable_amp(Config(dict(optim_wrapper=dict(type='ApexOptimWrapper'))))
