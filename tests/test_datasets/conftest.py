"""What all dataset tests share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from mmengine.registry import DefaultScope


@pytest.fixture(autouse=True)
def mmseg_scope() -> Iterator[None]:
    """Resolve types in mmseg's registries, as a config with ``default_scope = 'mmseg'`` does."""
    with DefaultScope.overwrite_default_scope('mmseg'):
        yield
