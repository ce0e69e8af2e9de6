from __future__ import annotations

from collections.abc import Iterator

import pytest

from benchmarks.adaptation.rows import ROWS


@pytest.fixture(autouse=True)
def rows_restored() -> Iterator[None]:
    """Variants that a test adds are rows of that test alone."""
    before = dict(ROWS)
    yield
    ROWS.clear()
    ROWS.update(before)
