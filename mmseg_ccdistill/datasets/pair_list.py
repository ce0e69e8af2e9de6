"""Lists of day-night pairs: CSV lines ``night,day`` of stems."""

from __future__ import annotations

import csv
import os
import re
from pathlib import Path

from .file_check import DatasetCheckError

_LIST_FIX = 'write one pair a line, e.g. train/night/A/A_frame_000001,train/day/B/B_frame_000081'


def read_pair_list(path: str) -> list[tuple[str, str]]:
    """Read a list of day-night pairs.

    Args:
        path: A CSV file without header whose lines are ``night,day`` stems (relative to the image
            folder, without suffix), or a folder: all CSV files below it together, sorted by night
            stem. Dark Zurich ships its pairs in such a folder, ``corresp/train/night``.

    Returns:
        ``(night, day)`` in the order of the file. Several nights may share one day image.

    Raises:
        DatasetCheckError: If there is nothing to read, or a line is not a pair of stems; names file
            and line.
    """
    if os.path.isdir(path):
        pairs = sorted(
            pair for file in sorted(Path(path).rglob('*.csv')) for pair in _read_csv(str(file))
        )
    elif os.path.isfile(path):
        pairs = _read_csv(path)
    else:
        raise DatasetCheckError(
            f'The pair list {path!r} does not exist: expected a CSV file; {_LIST_FIX}.'
        )
    if not pairs:
        raise DatasetCheckError(
            f'The pair list {path!r} is empty: expected night,day stems; {_LIST_FIX}.'
        )
    return pairs


def _read_csv(path: str) -> list[tuple[str, str]]:
    pairs = []
    try:
        with open(path, newline='', encoding='utf-8-sig') as file:
            reader = csv.reader(file)
            for row in reader:
                if row:
                    where = f'Line {reader.line_num} of the pair list {path!r}'
                    pairs.append(_parse_row(row, where))
    except (UnicodeDecodeError, csv.Error) as error:
        raise DatasetCheckError(
            f'The pair list {path!r} is no text ({error}): expected CSV; {_LIST_FIX}.'
        ) from error
    return pairs


def _lights_named(stem: str) -> set[str]:
    """Which of ``day`` and ``night`` are words of a stem, e.g. of ``photos/day_0``."""
    return {'day', 'night'} & set(re.split(r'[^a-z]+', stem.lower()))


def _parse_row(row: list[str], where: str) -> tuple[str, str]:
    stems = [field.strip() for field in row]
    if len(stems) != 2 or not all(stems):
        raise DatasetCheckError(
            f'{where} is {",".join(row)!r}: expected two stems, night,day; {_LIST_FIX}.'
        )
    for stem in stems:
        if stem.lower().endswith(('.png', '.jpg', '.jpeg')):
            raise DatasetCheckError(
                f'{where} names the file {stem!r}: expected a stem without suffix; {_LIST_FIX}.'
            )
    night, day = stems
    folders = '/day/' in f'/{night}' and ('/night/' in f'/{day}' or '/twilight/' in f'/{day}')
    words = _lights_named(night) == {'day'} and _lights_named(day) == {'night'}
    if folders or words:
        raise DatasetCheckError(
            f'{where} names the day image first: expected night,day; swap the columns.'
        )
    return night, day
