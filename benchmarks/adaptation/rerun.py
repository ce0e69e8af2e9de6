"""A rerun beside stated results: whether its means lie within the intervals that are stated."""

from __future__ import annotations

from pathlib import Path

from benchmarks.adaptation.measured import Results, mious, row_names, set_names
from benchmarks.adaptation.results import RESULTS, read_results
from benchmarks.adaptation.rows import BASELINE, ROWS
from benchmarks.adaptation.tables import Table, interval_text
from mmseg_ccdistill.errors import UserInputError
from mmseg_ccdistill.evaluation.report import markdown_table
from mmseg_ccdistill.reports.seed_statistics import (
    BySeed,
    differences_by_seed,
    paired_difference,
    spread,
)
from mmseg_ccdistill.runtime.atomic_file import write_atomically

#: Name of the file that a comparison leaves.
COMPARISON = 'rerun.md'


def check_same_suite(rerun: Results, stated: Results, path: Path) -> None:
    """Refuse a comparison of runs of other lengths, rendered worlds or shares; other frames of ``real`` are not seen.

    Args:
        rerun: Results of the rerun.
        stated: Results that it repeats.
        path: File of the stated results.

    Raises:
        UserInputError: If they are not of one suite with the same settings.
    """
    if any(stated[key] != rerun[key] for key in ('suite', 'settings')):
        raise UserInputError(
            f'--compare: {str(path)!r} is of the suite {stated["suite"]} with {stated["settings"]}, these runs are of '
            f'{rerun["suite"]} with {rerun["settings"]}: name results of the same suite and settings'
        )


def rerun_table(rerun: Results, stated: Results, dataset: str) -> Table:
    """Stated and rerun mIoU of every row that both have, and its difference to w/o CDC and CDS.

    Both are taken over the seeds that both have. A rerun of the same worlds and seeds differs by its rounding alone,
    and training amplifies that; its mean should lie within the stated 95 % interval, which allows for other seeds as
    well.

    Args:
        rerun: Results of the rerun.
        stated: Results that it repeats.
        dataset: Name of the set.

    Returns:
        A head, a line for each mean and one for each difference; without a common row the head alone. With one seed
        there is no interval, and nothing is said of lying within.
    """
    table = [['row', 'n', 'stated', 'rerun', 'within', 'rerun - stated']]
    for name in row_names(rerun):
        found, before = mious(rerun, name, dataset), mious(stated, name, dataset)
        title = ROWS[name].title
        table += _line(title, found, before, signed=False)
        if name != BASELINE:
            found = differences_by_seed(found, mious(rerun, BASELINE, dataset))
            before = differences_by_seed(before, mious(stated, BASELINE, dataset))
            table += _line(f'{title}, to {ROWS[BASELINE].title}', found, before, signed=True)
    return table


def _line(title: str, found: BySeed, before: BySeed, signed: bool) -> Table:
    """One line over the common seeds; none if there are none."""
    seeds = [seed for seed in found if seed in before]
    if not seeds:
        return []
    stated, rerun = (spread([values[s] for s in seeds]).mean for values in (before, found))
    ends = stated.interval
    cells = [
        interval_text(stated, stated.n, signed),
        f'{rerun.value:{"+" if signed else ""}.1f}',
        '' if ends is None else 'yes' if ends[0] <= rerun.value <= ends[1] else 'no',
        interval_text(paired_difference(found, before), rerun.n),
    ]
    return [[title, str(rerun.n), *cells]]


def write_comparison(out: Path, path: Path) -> str:
    """Compare the results in a report's folder with stated ones, and keep that beside them as ``rerun.md``.

    Args:
        out: Folder of the report.
        path: File of the stated results.

    Returns:
        What was written.

    Raises:
        UserInputError: If a file is not readable, or they are not of one suite with the same settings.
    """
    rerun, stated = read_results(out / RESULTS), read_results(path)
    check_same_suite(rerun, stated, path)
    text = rerun_report(rerun, stated)
    write_atomically(out / COMPARISON, text.encode())
    return text


def rerun_report(rerun: Results, stated: Results) -> str:
    """The comparison as Markdown, a table for each set that both have.

    Args:
        rerun: Results of the rerun.
        stated: Results that it repeats.
    """
    parts = ['# Rerun']
    for name in set_names(rerun):
        table = rerun_table(rerun, stated, name)
        if len(table) > 1:
            parts += [f'## mIoU on {name}', markdown_table(table)]
    if len(parts) == 1:
        parts.append('No row was measured in both.')
    return '\n\n'.join(parts) + '\n'
