"""What a run on a GPU has measured so far."""

from __future__ import annotations

from pathlib import Path

from benchmarks.gpu.page import write_page
from benchmarks.row_record import RowRecord

JSON, PAGE = 'gpu.json', 'gpu.md'


class Record(RowRecord):
    """Rows in ``gpu.json`` and ``gpu.md``.

    Args:
        folder: Where they lie.
        tiny: Whether it is a rehearsal.
    """

    def __init__(self, folder: Path, tiny: bool) -> None:
        super().__init__('gpu', write_page, folder, tiny)
