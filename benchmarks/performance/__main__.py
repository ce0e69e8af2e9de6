"""The ratios of the package beside their goals, on one thread of a CPU.

``python -m benchmarks.performance`` runs rows and writes ``performance.json`` and ``performance.md`` after each. It can
be stopped at any time; called again, it goes on with the rows that are not done. ``--docs`` writes the table into
docs/performance.md.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from benchmarks.performance.page import write_docs, write_page
from benchmarks.performance.rows import all_rows
from benchmarks.performance.sizes import TINY, Sizes
from benchmarks.repository import ROOT
from benchmarks.row_record import RowRecord
from benchmarks.row_running import choose, run_row
from mmseg_ccdistill.errors import UserInputError

DOCS, KEPT = ROOT / 'docs/performance.md', ROOT / 'docs/results/performance.json'


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
        print(
            f'{row.name}: {kept["status"]} in {kept["seconds"]} s {kept.get("reason", "")}',
            flush=True,
        )
    return record


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
    parser.add_argument('--rounds', type=int, help='timed rounds of each row (default: 9)')
    parser.add_argument('--tiny', action='store_true', help='rehearse at tiny size')
    parser.add_argument(
        '--docs', action='store_true', help='run nothing, write the table into the docs'
    )
    args = parser.parse_args(argv)
    try:
        if args.docs:
            write_docs(args.out / 'performance.json', DOCS, KEPT)
            return 0
        sizes = TINY if args.tiny else Sizes()
        if args.rounds is not None:
            if args.rounds < 2:
                raise UserInputError(f'--rounds must be at least 2, got {args.rounds}')
            sizes = replace(sizes, rounds=args.rounds)
        record = run(args.rows, sizes, args.out)
    except UserInputError as error:
        print(f'{parser.prog}: {error}', file=sys.stderr)
        return 2
    print(record.page.read_text())
    return int(any(row['status'] == 'failed' for row in record.rows.values()))


if __name__ == '__main__':
    sys.exit(main())
