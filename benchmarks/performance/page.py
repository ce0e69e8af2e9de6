"""The table of ratios, for the page of a run and for the docs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.docs_marks import section, write_section
from benchmarks.gpu.page import show, table
from benchmarks.performance.goals import FIGURES, Rows
from benchmarks.performance.profile_table import profile_tables
from benchmarks.stage_folder import read_record
from mmseg_ccdistill.errors import UserInputError
from mmseg_ccdistill.runtime.atomic_file import write_atomically

#: Names of the marks of the docs page.
RATIOS, PROFILES = 'ratios', 'profiles'


def ratio_table(rows: Rows) -> list[str]:
    """Lines of the table of all figures.

    Args:
        rows: See :class:`benchmarks.row_record.RowRecord`.
    """
    lines: list[list[Any]] = []
    for figure in FIGURES:
        found = figure.measured(rows)
        number = None if found is None else show(found['value'])
        if found is not None and 'low' in found:
            number = f'{number} ({show(found["low"])}-{show(found["high"])})'
        sign = '≥' if figure.at_least else '≤'
        good, extreme = (
            None if goal is None else f'{sign} {show(goal)}'
            for goal in (figure.good, figure.extreme)
        )
        kind = 'counted' if figure.counted else 'timed'
        lines.append([figure.what, kind, number, good, extreme, figure.verdict(rows)])
    return table(['what', '', 'measured', 'goal', 'extreme', 'verdict'], lines)


def about(rows: Rows) -> str:
    """One sentence on the machine, the versions and the commit."""
    found = rows.get('environment', {}).get('result')
    if not found:
        return 'Not measured yet.'
    commit = (found.get('commit') or 'no commit')[:7] + (
        ' and changes' if found.get('dirty') else ''
    )
    return (
        f'{found["device"]}, {found["cores"]} cores, load {found["load"]:.1f}; Python {found["python"]}, '
        f'torch {found["torch"]}, OpenCV {found["opencv"]}, mmseg {found["mmseg"]}; commit {commit}.'
    )


def write_page(rows: Rows, tiny: bool) -> str:
    """The page of a run in Markdown.

    Args:
        rows: See :class:`benchmarks.row_record.RowRecord`.
        tiny: Whether it is a rehearsal, whose numbers mean nothing.
    """
    left = [
        [name, row['status'], row.get('reason')]
        for name, row in rows.items()
        if row['status'] != 'done'
    ]
    lines = ['# Ratios', '', about(rows), '']
    if tiny:
        lines += ['A rehearsal at tiny size: its numbers mean nothing.', '']
    lines += [*ratio_table(rows), *table(['not measured', 'status', 'reason'], left)]
    return '\n'.join(lines)


def docs_section(rows: Rows) -> str:
    """The table in the docs page, with its marks."""
    return section(RATIOS, [*ratio_table(rows), about(rows)])


def write_profile_page(rows: Rows, tiny: bool) -> str:
    """The page of the profiles in Markdown.

    Args:
        rows: See :class:`benchmarks.row_record.RowRecord`.
        tiny: Whether it is a rehearsal, whose numbers mean nothing.
    """
    warning = ['A rehearsal at tiny size: its numbers mean nothing.', ''] if tiny else []
    return '\n'.join(['# Profiles', '', about(rows), '', *warning, *profile_tables(rows)])


def profile_section(rows: Rows) -> str:
    """The profiles in the docs page, with their marks."""
    return section(PROFILES, [*profile_tables(rows), about(rows)])


def write_docs(
    measured: Path, page: Path, kept: Path, make: Callable[[Rows], str] = docs_section
) -> None:
    """Keep the JSON of a run beside the docs, and write its tables into the page.

    Args:
        measured: JSON of the run.
        page: Page with the two marks.
        kept: Where the JSON is kept.
        make: Makes what stands in the page, with its marks. Defaults to the table of ratios.

    Raises:
        UserInputError: If there is no such run, it is a rehearsal, or the page has no marks.
    """
    record = read_record(measured)
    if not record:
        raise UserInputError(f'{measured} is not there: run python -m benchmarks.performance first')
    if record['tiny']:
        raise UserInputError(f'{measured} is a rehearsal: run without --tiny first')
    write_section(page, make(record['rows']))
    write_atomically(kept, measured.read_bytes())
