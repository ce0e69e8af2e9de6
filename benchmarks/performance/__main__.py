"""The ratios of the package beside their goals, on one thread of a CPU.

``python -m benchmarks.performance`` runs rows and writes ``performance.json`` and ``performance.md`` after each. It can
be stopped at any time; called again, it goes on with the rows that are not done. ``--profile`` writes where the time or
memory of some of them goes, into ``profile.json`` and ``profile.md``. ``--docs`` writes the tables into
docs/performance.md.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.performance.page import (
    profile_section,
    write_docs,
    write_page,
    write_profile_page,
)
from benchmarks.performance.profiles import PROFILES, check_names
from benchmarks.performance.rows import all_rows
from benchmarks.performance.sizes import TINY, Sizes
from benchmarks.repository import ROOT
from benchmarks.row_record import RowRecord
from benchmarks.row_running import choose, run_row
from mmseg_ccdistill.errors import UserInputError

DOCS, KEPT = ROOT / 'docs/performance.md', ROOT / 'docs/results/performance.json'
KEPT_PROFILE = KEPT.with_name('performance_profile.json')


def run(words: Sequence[str], sizes: Sizes, out: Path) -> RowRecord:
    """Run the rows that are named, or all that are not done.

    Args:
        words: Beginnings of names; they are run again if they are done.
        sizes: Of the run.
        out: Folder of the results.

    Returns:
        The record.

    Raises:
        UserInputError: If a word names no row, or the folder holds rows of another kind of run or another machine.
    """
    chosen = choose(all_rows(), words)
    record = RowRecord('performance', write_page, out, sizes.tiny)
    first = choose(all_rows(), ['environment'])
    for row in [*first, *(row for row in chosen if row not in first)]:
        if record.is_done(row.name) and not words and row.name != 'environment':
            continue
        kept = run_row(partial(row.run, sizes))
        record.add(row.name, kept)
        _say(row.name, kept)
    return record


def profile(names: Sequence[str], sizes: Sizes, out: Path) -> RowRecord:
    """Profile some ratios.

    Args:
        names: Keys of :data:`PROFILES`.
        sizes: Of the run.
        out: Folder of the results.

    Returns:
        The record.

    Raises:
        UserInputError: If there is no such profile, or the folder holds those of another kind of run or machine.
    """
    check_names(names)
    record = RowRecord('profile', write_profile_page, out, sizes.tiny)
    (first,) = choose(all_rows(), ['environment'])
    for name, measure in {first.name: first.run, **{n: PROFILES[n] for n in names}}.items():
        kept = run_row(partial(measure, sizes))
        record.add(name, kept)
        _say(name, kept)
    return record


def _say(name: str, row: dict[str, Any]) -> None:
    print(f'{name}: {row["status"]} in {row["seconds"]} s {row.get("reason", "")}', flush=True)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the benchmark, or write its table into the docs.

    Args:
        argv: Arguments. Defaults to None, those of the command line.

    Returns:
        0, or 1 if a row failed, or 2 after bad arguments.
    """
    parser = argparse.ArgumentParser(
        prog='python -m benchmarks.performance', description=(__doc__ or '').split('\n', 1)[0]
    )
    parser.add_argument(
        '--out', type=Path, default=ROOT / 'work_dirs/performance', help='folder of the results'
    )
    parser.add_argument(
        '--rows',
        nargs='+',
        default=[],
        metavar='NAME',
        help='only these rows (beginnings of names), again if done',
    )
    parser.add_argument(
        '--profile',
        nargs='+',
        default=[],
        metavar='NAME',
        help=f'instead of rows, where time or memory goes: {", ".join(PROFILES)}',
    )
    parser.add_argument('--rounds', type=int, help='timed rounds of each row (default: 9)')
    parser.add_argument('--tiny', action='store_true', help='rehearse at tiny size')
    parser.add_argument(
        '--docs',
        action='store_true',
        help='run nothing, write the tables into the docs (with --profile only the profiles)',
    )
    args = parser.parse_args(argv)
    try:
        if args.docs:
            if not args.profile:
                write_docs(args.out / 'performance.json', DOCS, KEPT)
            if args.profile or (args.out / 'profile.json').exists():
                write_docs(args.out / 'profile.json', DOCS, KEPT_PROFILE, profile_section)
            return 0
        sizes = TINY if args.tiny else Sizes()
        if args.rounds is not None:
            if args.rounds < 2:
                raise UserInputError(f'--rounds must be at least 2, got {args.rounds}')
            sizes = replace(sizes, rounds=args.rounds)
        if args.profile:
            record = profile(args.profile, sizes, args.out)
        else:
            record = run(args.rows, sizes, args.out)
    except UserInputError as error:
        print(f'{parser.prog}: {error}', file=sys.stderr)
        return 2
    print(record.page.read_text())
    return int(any(row['status'] == 'failed' for row in record.rows.values()))


if __name__ == '__main__':
    sys.exit(main())
