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


def test_a_config_in_a_precision_that_the_device_lacks_is_refused(monkeypatch) -> None:
    half = Config(dict(optim_wrapper=dict(type='AmpOptimWrapper', dtype='bfloat16')))
    mixed_precision.check_amp(Config(dict(optim_wrapper=dict(type='OptimWrapper'))))
    monkeypatch.setattr(mixed_precision, 'get_device', lambda: 'cpu')
    with pytest.raises(UserInputError, match='AmpOptimWrapper, which needs a GPU, and none was'):
        mixed_precision.check_amp(half)
    monkeypatch.setattr(mixed_precision, 'get_device', lambda: 'cuda')
    monkeypatch.setattr('torch.cuda.is_available', lambda: True)
    monkeypatch.setattr('torch.cuda.get_device_capability', lambda: (7, 5))
    with pytest.raises(UserInputError, match=r'capability 7\.5\) does not have: --cfg-options'):
        mixed_precision.check_amp(half)
    monkeypatch.setattr('torch.cuda.get_device_capability', lambda: (8, 0))
    mixed_precision.check_amp(half)


@pytest.mark.parametrize('dtype', ['float16', None])
def test_decoders_that_go_backward_early_have_no_loss_scaler(dtype, monkeypatch) -> None:
    monkeypatch.setattr(mixed_precision, 'get_device', lambda: 'cuda')
    wrapper = dict(type='AmpOptimWrapper', dtype=dtype)
    config = Config(dict(model=dict(early_decoder_backward=True), optim_wrapper=wrapper))
    with pytest.raises(
        UserInputError, match='early_decoder_backward=True needs bfloat16 or float32'
    ):
        mixed_precision.check_amp(config)
    config.optim_wrapper.dtype = 'bfloat16'
    mixed_precision.check_amp(config)
    config.optim_wrapper.dtype, config.model.early_decoder_backward = dtype, False
    mixed_precision.check_amp(config)
