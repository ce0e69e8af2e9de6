"""Systems side by side: night mIoU, the class that carries a difference, and cost, from finished runs.

``python -m benchmarks.adaptation.systems_table RESULTS.json --page docs/table1.md --mark 'mini night'``
writes the table into a page, between the marks of that name.
"""

from __future__ import annotations

import argparse
import functools
import sys
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

import numpy as np

from benchmarks.adaptation.class_tables import iou_by_seed
from benchmarks.adaptation.cost_table import time_ratio
from benchmarks.adaptation.measured import (
    Results,
    counts_absent_classes,
    main_set,
    mious,
    row_names,
    set_names,
)
from benchmarks.adaptation.results import read_results
from benchmarks.adaptation.rows import FULL, ORACLE, ROWS, SOURCE_ONLY
from benchmarks.adaptation.suites import SUITES, choose_rows
from benchmarks.adaptation.tables import Table, interval_text
from benchmarks.docs_marks import section, write_section
from benchmarks.stage_folder import read_record
from mmseg_ccdistill.errors import UserInputError
from mmseg_ccdistill.evaluation.report import markdown_table
from mmseg_ccdistill.reports.seed_statistics import closed_share, paired_difference, spread
from mmseg_ccdistill.runtime.command_line import run_main


def without_largest_class(
    results: Results, row: str, reference: str, dataset: str
) -> tuple[float, str] | None:
    """The difference of two rows without the class that carries most of it.

    Args:
        results: Content of ``results.json``.
        row: A row.
        reference: The row that is subtracted.
        dataset: Name of the set.

    Returns:
        Mean difference in mIoU over common seeds with that class left out of both means, and the name of the class:
        the one whose absence moves the difference most towards zero and beyond. None without a common seed.
    """
    own, other = (iou_by_seed(results, name, dataset) for name in (row, reference))
    common = sorted(set(own) & set(other), key=int)
    if not common:
        return None

    def difference(left_out: int) -> float:
        kept = np.arange(len(results['classes'])) != left_out
        pairs = [(own[seed][kept], other[seed][kept]) for seed in common]
        return float(np.mean([np.nanmean(a) - np.nanmean(b) for a, b in pairs]))

    whole = np.mean([np.nanmean(own[seed]) - np.nanmean(other[seed]) for seed in common])
    left = [difference(index) for index in range(len(results['classes']))]
    index = int(np.argmin(left) if whole > 0 else np.argmax(left))
    return left[index], results['classes'][index]


def systems_table(
    results: Results,
    dataset: str,
    times: Mapping[str, Mapping[str, float]] | None = None,
    reference: str = FULL,
    rows: Collection[str] | None = None,
) -> Table:
    """Every row on one set with its cost: means over seeds with 95 % intervals, differences paired by seed.

    Args:
        results: Content of ``results.json``.
        dataset: Name of the set.
        times: Times of a step measured side by side (:mod:`benchmarks.adaptation.step_times`), by row. Defaults to
            None, those that the runs logged.
        reference: Row to which the others are compared beside source-only. Defaults to CCDistill.
        rows: Names of the rows to show. Defaults to None, all.

    Returns:
        A head and a row for each row that was measured on the set, without columns in which nothing stands. Where a
        class without a pixel in the labels counts in some mIoU, two columns say what is left without such classes.
    """
    has_oracle = bool(mious(results, ORACLE, dataset))
    has_absent = counts_absent_classes(results, dataset)
    table = [
        [
            *('system', 'n', f'mIoU on {dataset}', f'to {ROWS[SOURCE_ONLY].title}'),
            *(f'to {ROWS[reference].title}', 'the same without its largest class'),
            *(['mIoU_present', f'mIoU_present, to {ROWS[reference].title}'] if has_absent else []),
            *(['share of the gap, %'] if has_oracle else []),
            *('TFLOP of a step', 'activations, GiB', 'time of a step'),
        ]
    ]
    compared = (SOURCE_ONLY, reference)
    references = [mious(results, name, dataset) for name in compared]
    for name in row_names(results):
        values = mious(results, name, dataset)
        if not values or (rows is not None and name not in rows):
            continue
        n = len(values)
        cells = [
            ROWS[name].title,
            str(n),
            interval_text(spread(list(values.values())).mean, n, signed=False),
        ]
        for other, of_other in zip(compared, references, strict=True):
            difference = paired_difference(values, of_other)
            cells.append('0' if name == other else interval_text(difference, n))
        left = None
        if name != reference:
            left = without_largest_class(results, name, reference, dataset)
        cells.append('' if left is None else f'{left[0]:+.1f} ({left[1]})')
        if has_absent:
            present, its = (mious(results, r, dataset, True) for r in (name, reference))
            cells.append(interval_text(spread(list(present.values())).mean, n, signed=False))
            difference = paired_difference(present, its)
            cells.append('0' if name == reference else interval_text(difference, n))
        if has_oracle:
            share = None
            if references[0] and name not in (SOURCE_ONLY, ORACLE):
                share = closed_share(values, references[0], mious(results, ORACLE, dataset))
            cells.append('' if share is None else f'{100 * share.value:.0f}')
        runs = [run for run in results['runs'][name].values() if run.get('cost')]
        cost = runs[0]['cost'] if runs else None
        ratio = time_ratio(results, name) if times is None else times.get(name, {}).get('value')
        cells += ['', ''] if cost is None else [f'{cost["tflop"]:.3f}', f'{cost["gib"]:.3f}']
        cells.append('' if ratio is None else f'{ratio:.2f}')
        table.append(cells)
    head, *lines = table
    kept = [i for i in range(len(head)) if any(line[i] for line in lines)]
    return [[line[i] for i in kept] for line in table]


def read_times(path: Path, suite: str) -> Mapping[str, Mapping[str, float]]:
    """Times of a step by row.

    Args:
        path: File of :mod:`benchmarks.adaptation.step_times`.
        suite: Name of the suite whose rows they stand beside.

    Raises:
        UserInputError: If it is not such a file, or of another suite.
    """
    record = read_record(path)
    rows = record.get('rows')
    if not (
        rows and isinstance(rows, dict) and all(isinstance(row, dict) for row in rows.values())
    ):
        raise UserInputError(
            f'--times: {str(path)!r} holds no times: expected a file that python -m benchmarks.adaptation.step_times '
            'has written with --out; write one'
        )
    if record.get('suite') != suite:
        raise UserInputError(
            f'--times: {str(path)!r} holds times of the suite {record.get("suite")}, the results are of {suite}: '
            f'expected times of the same suite; write them with python -m benchmarks.adaptation.step_times {suite}'
        )
    return rows


def main(argv: Sequence[str] | None = None) -> None:
    """Write the table of a results file into a page.

    Args:
        argv: Arguments. Defaults to None, those of the command line.
    """
    parser = argparse.ArgumentParser(
        prog='python -m benchmarks.adaptation.systems_table',
        description=(__doc__ or '').split('\n', 1)[0],
    )
    parser.add_argument('results', type=Path, help='results.json of a suite')
    parser.add_argument('--times', type=Path, help='file of benchmarks.adaptation.step_times')
    parser.add_argument('--set', dest='dataset', help='set to show (default: the first)')
    parser.add_argument(
        '--reference',
        default=FULL,
        help=f'row to compare with beside {SOURCE_ONLY} (default: {FULL})',
    )
    parser.add_argument(
        '--rows', nargs='+', default=['all'], help='rows or groups of rows to show (default: all)'
    )
    parser.add_argument('--page', type=Path, help='page to write into (default: print the table)')
    parser.add_argument('--mark', default='systems', help='name of the marks in the page')
    args = parser.parse_args(argv)
    results = read_results(args.results)
    if not set_names(results):
        raise UserInputError(
            f'{str(args.results)!r} holds no run, so there is no table: expected results with a row that was measured; '
            'run the suite first, or name another file'
        )
    dataset = args.dataset or main_set(results)
    if dataset not in set_names(results):
        raise UserInputError(
            f'--set: {dataset!r} was not measured in {str(args.results)!r}: expected one of '
            f'{", ".join(set_names(results))}'
        )
    if args.reference not in row_names(results):
        raise UserInputError(
            f'--reference: {args.reference!r} was not measured in {str(args.results)!r}: expected one of '
            f'{", ".join(row_names(results))}'
        )
    times = None if args.times is None else read_times(args.times, results['suite'])
    shown = choose_rows(args.rows, SUITES[results['suite']])
    if not set(shown) & set(row_names(results)):
        raise UserInputError(
            f'--rows: none of {", ".join(shown)} was measured in {str(args.results)!r}: expected some of '
            f'{", ".join(row_names(results))}'
        )
    table = systems_table(results, dataset, times, args.reference, shown)
    lines = markdown_table(table).splitlines()
    if args.page is None:
        print('\n'.join(lines))
    else:
        write_section(args.page, section(args.mark, lines))


if __name__ == '__main__':
    sys.exit(run_main(functools.partial(main, None)))
