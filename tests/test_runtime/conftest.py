from __future__ import annotations

import logging
from typing import Any

import pytest
from mmengine.logging import MMLogger


@pytest.fixture
def log(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Records of the runner's logger, which does not hand them on."""
    original = MMLogger.__init__

    def attach(self: Any, *args: Any, **kwargs: Any) -> None:
        original(self, *args, **kwargs)
        self.addHandler(caplog.handler)

    monkeypatch.setattr(MMLogger, '__init__', attach)
    caplog.set_level(logging.INFO)
    return caplog
