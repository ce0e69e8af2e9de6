"""Mixed precision by one switch, in the type that the device computes in."""

import torch
from mmengine.config import Config
from mmengine.device import get_device

from ..errors import UserInputError


def enable_amp(config: Config) -> None:
    """Switch the optimizer wrapper to mixed precision.

    bfloat16 where the device computes in it (compute capability 8.0 and above), because RefineNet's
    decoder has no normalisation and its float16 sums can overflow; float16 elsewhere. A config that
    is already mixed stays as it is.

    Raises:
        UserInputError: If there is no accelerator, or the wrapper is of another type.
    """
    wrapper = config.optim_wrapper
    if wrapper.get('type', 'OptimWrapper') == 'AmpOptimWrapper':
        return
    if wrapper.get('type', 'OptimWrapper') != 'OptimWrapper':
        raise UserInputError(
            f'--amp works on an optim_wrapper of type OptimWrapper, not {wrapper.type}; '
            'set the precision in the config'
        )
    if get_device() == 'cpu':
        raise UserInputError(
            '--amp needs a GPU and none was found; leave it out to train on the CPU'
        )
    has_bfloat16 = torch.cuda.is_available() and torch.cuda.get_device_capability()[0] >= 8
    wrapper.type = 'AmpOptimWrapper'
    wrapper.setdefault('dtype', 'bfloat16' if has_bfloat16 else 'float16')
    wrapper.setdefault('loss_scale', 'dynamic')


def check_amp(config: Config) -> None:
    """Check that the device can compute in the precision of the config, and that the step can.

    Args:
        config: Config with an ``optim_wrapper``.

    Raises:
        UserInputError: If it is mixed and there is no accelerator, bfloat16 and the GPU has none, or float16 and
            decoders go backward early: their gradients are made before a loss scaler can enlarge them.
    """
    wrapper = config.get('optim_wrapper') or {}
    if wrapper.get('type') != 'AmpOptimWrapper':
        return
    if get_device() == 'cpu':
        raise UserInputError(
            'optim_wrapper is an AmpOptimWrapper, which needs a GPU, and none was found: take the config '
            'in float32 of which this is a variant'
        )
    early = (config.get('model') or {}).get('early_decoder_backward')
    if early and wrapper.get('dtype') != 'bfloat16':
        raise UserInputError(
            'model.early_decoder_backward=True needs bfloat16 or float32: in float16 small gradients of the decoders '
            'would be lost before the loss scaler sees them; set optim_wrapper.dtype=bfloat16, or leave it out and '
            'save memory with model.recompute.'
        )
    if wrapper.get('dtype') == 'bfloat16' and torch.cuda.is_available():
        capability = torch.cuda.get_device_capability()
        if capability[0] < 8:
            raise UserInputError(
                f'optim_wrapper.dtype is bfloat16, which this GPU (compute capability {capability[0]}.{capability[1]}) '
                'does not have: --cfg-options optim_wrapper.dtype=float16 optim_wrapper.loss_scale.enabled=True'
            )
