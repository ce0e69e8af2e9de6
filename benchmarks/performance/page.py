"""The table of ratios, for the page of a run and for the docs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.gpu.page import show, table
from benchmarks.performance.goals import FIGURES, Rows
from benchmarks.performance.profile_table import profile_tables
from benchmarks.stage_folder import read_record
from mmseg_ccdistill.errors import UserInputError
from mmseg_ccdistill.runtime.atomic_file import write_atomically

#: Between these lines of the docs page the table is written.
BEGIN, END = '<!-- ratios: begin -->', '<!-- ratios: end -->'
PROFILE_BEGIN, PROFILE_END = '<!-- profiles: begin -->', '<!-- profiles: end -->'


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
    """What stands between the marks of the table in the docs page."""
    return '\n'.join([BEGIN, '', *ratio_table(rows), about(rows), '', END])


def write_profile_page(rows: Rows, tiny: bool) -> str:
    """The page of the profiles in Markdown.

    Args:
        rows: See :class:`benchmarks.row_record.RowRecord`.
        tiny: Whether it is a rehearsal, whose numbers mean nothing.
    """
    warning = ['A rehearsal at tiny size: its numbers mean nothing.', ''] if tiny else []
    return '\n'.join(['# Profiles', '', about(rows), '', *warning, *profile_tables(rows)])


def profile_section(rows: Rows) -> str:
    """What stands between the marks of the profiles in the docs page."""
    return '\n'.join([PROFILE_BEGIN, '', *profile_tables(rows), about(rows), '', PROFILE_END])


def write_docs(
    measured: Path, page: Path, kept: Path, section: Callable[[Rows], str] = docs_section
) -> None:
    """Keep the JSON of a run beside the docs, and write its tables into the page.

    Args:
        measured: JSON of the run.
        page: Page with the two marks.
        kept: Where the JSON is kept.
        section: Makes what stands in the page, the marks its first and last line. Defaults to the table of ratios.

    Raises:
        UserInputError: If there is no such run, it is a rehearsal, or the page has no marks.
    """
    record = read_record(measured)
    if not record:
        raise UserInputError(f'{measured} is not there: run python -m benchmarks.performance first')
    if record['tiny']:
        raise UserInputError(f'{measured} is a rehearsal: run without --tiny first')
    text = page.read_text(encoding='utf-8')
    new = section(record['rows'])
    first, last = new.split('\n', 1)[0], new.rsplit('\n', 1)[1]
    before, begin, rest = text.partition(first)
    _, end, after = rest.partition(last)
    if not begin or not end:
        raise UserInputError(
            f'{page} has no lines {first} and {last}: put them where the table shall stand'
        )
    write_atomically(kept, measured.read_bytes())
    write_atomically(page, (before + new + after).encode())
