"""What a run has measured so far, on disk after every row."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from benchmarks.gpu.page import write_page
from benchmarks.stage_folder import read_record
from mmseg_ccdistill.errors import UserInputError
from mmseg_ccdistill.runtime.atomic_file import write_atomically

JSON, PAGE = 'gpu.json', 'gpu.md'

#: What must be equal for rows to stand in one table.
_SAME = ('device', 'torch', 'mmengine', 'mmseg', 'mmseg_ccdistill')


class Record:
    """Rows by name, in ``gpu.json`` and as tables in ``gpu.md``.

    Args:
        folder: Where they lie; made if need be. Rows that lie there already are kept.
        tiny: Whether it is a rehearsal.

    Attributes:
        rows: By name: ``status`` (done, failed, skipped or not reached), ``seconds``, and ``result`` or ``reason``.

    Raises:
        UserInputError: If the folder holds rows of the other kind of run, or cannot be made.
    """

    def __init__(self, folder: Path, tiny: bool) -> None:
        self.folder, self.tiny = folder, tiny
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UserInputError(f'--out {folder} cannot be made: {error.strerror}') from error
        if (folder / JSON).exists() and not read_record(folder / JSON):
            raise UserInputError(
                f'{folder / JSON} is not a record of this benchmark: give another --out'
            )
        kept = read_record(folder / JSON)
        if kept and kept.get('tiny') != tiny:
            raise UserInputError(
                f'{folder / JSON} holds {"a rehearsal" if kept.get("tiny") else "a run of the true size"}: '
                'give another --out'
            )
        self.rows: dict[str, dict[str, Any]] = kept.get('rows', {})

    def is_done(self, name: str) -> bool:
        """Whether a row need not be run again."""
        return self.rows.get(name, {}).get('status') in ('done', 'skipped')

    def add(self, name: str, row: dict[str, Any]) -> None:
        """Keep a row and write both files.

        Args:
            name: Of the row.
            row: See ``rows``.

        Raises:
            UserInputError: If it is the environment, and the rows that are there come from another.
        """
        if name == 'environment' and row['status'] == 'done':
            before = self.rows.get(name, {}).get('result', {})
            other = [k for k in _SAME if k in before and before[k] != row['result'][k]]
            if other:
                raise UserInputError(
                    f'{self.folder / JSON} was measured with {other[0]} {before[other[0]]}, here it is '
                    f'{row["result"][other[0]]}: give another --out'
                )
        self.rows[name] = row
        content = json.dumps(dict(tiny=self.tiny, rows=self.rows), indent=1) + '\n'
        write_atomically(self.folder / JSON, content.encode())
        write_atomically(self.folder / PAGE, write_page(self.rows, self.tiny).encode())
