"""Published numbers to set beside one's own: the paper's tables and those of other methods."""

from __future__ import annotations

import json
from functools import cache
from importlib.resources import files
from typing import Any

_FILE = 'published.json'


@cache
def load_published() -> dict[str, Any]:
    """Read ``published.json``.

    Returns:
        ``sets`` (name and number of images by label), ``tables`` (each with ``title`` and ``rows``:
        method, set, ``mIoU`` in percent, source, and ``per_class`` and ``note`` where there are any),
        ``sources`` (what each source tag stands for) and ``not_verified`` (what is left out because
        nothing at hand confirms it).
    """
    text = files(__package__).joinpath(_FILE).read_text(encoding='utf-8')
    return json.loads(text)


def published_rows(dataset: str | None = None, table: str | None = None) -> list[dict[str, Any]]:
    """List published rows.

    Args:
        dataset: Label of a set, e.g. ``'DZ-test'``; None: all.
        table: Key of one table, e.g. ``'table_1'``; None: all.

    Raises:
        KeyError: If there is no such table.
    """
    tables = load_published()['tables']
    chosen = tables.values() if table is None else [tables[table]]
    rows = [row for entry in chosen for row in entry['rows']]
    return [row for row in rows if dataset is None or row['set'] == dataset]
