"""Rows of a benchmark, on disk after each one."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.stage_folder import read_record
from mmseg_ccdistill.errors import UserInputError
from mmseg_ccdistill.runtime.atomic_file import write_atomically

#: Writes the page: rows by name, and whether the run is a rehearsal.
WritePage = Callable[[dict[str, dict[str, Any]], bool], str]

#: What must be equal for rows to stand in one table.
_SAME = ('device', 'torch', 'mmengine', 'mmseg', 'mmseg_ccdistill')


class RowRecord:
    """Rows by name, in a JSON file and as tables in a Markdown file.

    Args:
        name: Of the two files, without a suffix.
        write_page: Makes the tables.
        folder: Where they lie; made if need be. Rows that lie there already are kept.
        tiny: Whether it is a rehearsal.

    Attributes:
        rows: By name: ``status`` (done, failed, skipped or not reached), ``seconds``, and ``result`` or ``reason``.

    Raises:
        UserInputError: If the folder holds rows of the other kind of run, or cannot be made.
    """

    def __init__(self, name: str, write_page: WritePage, folder: Path, tiny: bool) -> None:
        self.folder, self.tiny, self.write_page = folder, tiny, write_page
        self.json, self.page = folder / f'{name}.json', folder / f'{name}.md'
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UserInputError(f'--out {folder} cannot be made: {error.strerror}') from error
        if self.json.exists() and not read_record(self.json):
            raise UserInputError(
                f'{self.json} is not a record of this benchmark: give another --out'
            )
        kept = read_record(self.json)
        if kept and kept.get('tiny') != tiny:
            raise UserInputError(
                f'{self.json} holds {"a rehearsal" if kept.get("tiny") else "a run of the true size"}: '
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
                    f'{self.json} was measured with {other[0]} {before[other[0]]}, here it is '
                    f'{row["result"][other[0]]}: give another --out'
                )
        self.rows[name] = row
        content = json.dumps(dict(tiny=self.tiny, rows=self.rows), indent=1) + '\n'
        write_atomically(self.json, content.encode())
        write_atomically(self.page, self.write_page(self.rows, self.tiny).encode())
