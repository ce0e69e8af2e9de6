"""Whether a model says to which size its training batches are padded."""

from __future__ import annotations

from typing import Any

from mmengine.model import is_model_wrapper
from mmseg.models.data_preprocessor import SegDataPreProcessor
from torch import nn

from ..errors import UserInputError
from ..models.data_preprocessors import CrossDomainPreprocessor


def check_padding(model: nn.Module) -> None:
    """Look at the settings that mmseg reads at the first training batch; a test reads others.

    Args:
        model: The model, wrapped for several processes or not; other preprocessors than mmseg's
            and ``CrossDomainPreprocessor`` are left alone.

    Raises:
        UserInputError: If neither ``size`` nor ``size_divisor`` is set, or both are.
    """
    inner: Any = model.module if is_model_wrapper(model) else model
    preprocessor: Any = getattr(inner, 'data_preprocessor', None)
    if type(preprocessor) not in (SegDataPreProcessor, CrossDomainPreprocessor):
        return
    size, divisor = preprocessor.size, preprocessor.size_divisor
    if (size is None) == (divisor is None):
        raise UserInputError(
            f'model.data_preprocessor has size={size} and size_divisor={divisor}: expected one of them, to which the '
            'images of a training batch are padded; set size=(height, width) to that of the training crops, or, for '
            'whole images, size=None and size_divisor=1'
        )
