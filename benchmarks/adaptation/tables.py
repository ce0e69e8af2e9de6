"""Tables of a suite's results with a line for each row of the suite, as rows of text."""

from __future__ import annotations

from typing import Any

from benchmarks.adaptation.measure import DAY
from benchmarks.adaptation.measured import Results, main_set, mious, row_names
from benchmarks.adaptation.rows import BASELINE, FULL, ORACLE, ROWS, SOURCE_ONLY
from mmseg_ccdistill.evaluation.published import published_rows
from mmseg_ccdistill.reports.seed_statistics import (
    Estimate,
    closed_share,
    paired_difference,
    spread,
)

Table = list[list[str]]

#: Diagnostics in the table, by key of the log: medians over the last tenth of the training.
DIAGNOSTICS = {
    'cor.contrast_source': 'content contrast in S',
    'cor.contrast_target': 'content contrast in T',
    'cor.effective_rank': 'effective rank of e',
    'cor.in_day_mean': 'Cor_in by day',
    'cor.in_night_mean': 'Cor_in at night',
    'pseudo.share': 'share of pseudo labels',
    'pseudo.largest_class': 'largest class of them',
    'night.mix_weight': "weight of self-training's labels of T_n",
    'night.mix_things': 'share of them that is dynamic',
    'night.mix_source_things': 'the same in S_n',
}


def interval_text(estimate: Estimate | None, n: int, signed: bool = True, digits: int = 1) -> str:
    """An estimate with its interval, e.g. ``+1.2 [+0.3, +2.1]``.

    Args:
        estimate: The estimate; None: there is none.
        n: Seeds of the row. An estimate of fewer seeds, or of one, says so.
        signed: Whether a plus is written.
        digits: Digits after the point.
    """
    if estimate is None:
        return ''
    form = f'{"+" if signed else ""}.{digits}f'
    if estimate.interval is None:
        return f'{estimate.value:{form}} (n = 1, no interval)'
    low, high = estimate.interval
    fewer = f' (n = {estimate.n})' if estimate.n < n else ''
    return f'{estimate.value:{form}} [{low:{form}}, {high:{form}}]{fewer}'


def _published(row: str) -> dict[str, Any] | None:
    wanted = ROWS[row].published
    return next((r for r in published_rows(table='table_3') if r['method'] == wanted), None)


def _delta_text(delta: float) -> str:
    return f'{delta:+.1f}' if delta else '0'


def means_table(results: Results, dataset: str) -> Table:
    """MIoU of every row on one set, over seeds, beside the paper's number.

    Args:
        results: Content of ``results.json``.
        dataset: Name of the set.

    Returns:
        A head and a row for each row of the suite.
    """
    has_oracle = dataset != DAY and bool(mious(results, ORACLE, dataset))
    head = ['row', 'n', 'mean', 'sd', 'range', '95 % interval of the mean']
    head += [f'share of the gap to {ROWS[ORACLE].title}, %'] if has_oracle else []
    head += ['paper, DZ-test'] if dataset != DAY else []
    table = [head]
    for name in row_names(results):
        values = mious(results, name, dataset)
        if not values:
            continue
        found = spread(list(values.values()))
        ends = found.mean.interval
        cells = [
            ROWS[name].title,
            str(found.mean.n),
            f'{found.mean.value:.1f}',
            'n = 1' if found.sd is None else f'{found.sd:.1f}',
            f'{found.low:.1f} to {found.high:.1f}',
            'n = 1, no interval' if ends is None else f'{ends[0]:.1f} to {ends[1]:.1f}',
        ]
        if has_oracle:
            lower, upper = (mious(results, end, dataset) for end in (SOURCE_ONLY, ORACLE))
            share = None
            if lower and name not in (SOURCE_ONLY, ORACLE):
                share = closed_share(values, lower, upper)
            percent = share and Estimate(
                100 * share.value,
                share.n,
                None if share.half_width is None else 100 * share.half_width,
            )
            cells.append(interval_text(percent, len(values), signed=False, digits=0))
        if dataset != DAY:
            paper = _published(name)
            cells.append(f'{paper["mIoU"]:.1f}' if paper else '')
        table.append(cells)
    return table


def differences_table(results: Results, dataset: str) -> Table:
    """Differences between rows, paired by seed, beside the paper's difference to its full method.

    Args:
        results: Content of ``results.json``.
        dataset: Name of the set.

    Returns:
        A head and a row for each row of the suite.
    """
    references = [name for name in (BASELINE, SOURCE_ONLY, FULL) if mious(results, name, dataset)]
    head = ['row', *(f'to {ROWS[name].title}' for name in references)]
    table = [[*head, 'paper, DZ-test: to full CCDistill']]
    for name in row_names(results):
        values = mious(results, name, dataset)
        if not values:
            continue
        cells = [
            '0'
            if name == reference
            else interval_text(
                paired_difference(values, mious(results, reference, dataset)), len(values)
            )
            for reference in references
        ]
        paper = _published(name)
        table.append([ROWS[name].title, *cells, _delta_text(paper['delta']) if paper else ''])
    return table


def diagnostics_table(results: Results) -> Table:
    """Diagnostics of the rows with two branches: means over seeds of each run's median.

    Args:
        results: Content of ``results.json``.

    Returns:
        A head and a row for each row that has any; the head alone if none has.
    """
    table = [['row', *DIAGNOSTICS.values()]]
    for name in row_names(results):
        runs = [run['diagnostics'] for run in results['runs'][name].values()]
        values = [[run[key] for run in runs if key in run] for key in DIAGNOSTICS]
        if any(values):
            cells = [f'{sum(v) / len(v):.3g}' if v else '' for v in values]
            table.append([ROWS[name].title, *cells])
    return table


def published_table(results: Results) -> Table:
    """The paper's Table 3 beside the night mIoU here, where the suite has the row.

    Args:
        results: Content of ``results.json``.

    Returns:
        A head and a row for each row of the paper's table.
    """
    names = {row.published: name for name, row in ROWS.items() if row.published}
    dataset = main_set(results)
    table = [["paper's row", 'paper, DZ-test', 'to its full', f'here, {dataset}', 'to full here']]
    full = mious(results, FULL, dataset)
    for paper in published_rows(table='table_3'):
        values = mious(results, names[paper['method']], dataset)
        here = f'{spread(list(values.values())).mean.value:.1f}' if values else ''
        difference = paired_difference(values, full) if values and full else None
        table.append(
            [
                paper['method'],
                f'{paper["mIoU"]:.1f}',
                _delta_text(paper['delta']),
                here,
                interval_text(difference, len(values)) if names[paper['method']] != FULL else '',
            ]
        )
    return table


def source_table(results: Results) -> Table:
    """Whether the source stages have reached their plateau, by their own validation set (S by day).

    Args:
        results: Content of ``results.json``.

    Returns:
        A head and a row for each seed whose source stage was measured on the way; the head alone if none was.
    """
    table = [
        ['seed', 'mIoU on S by day at the end', 'gain over the last quarter', 'best on the way']
    ]
    for seed, source in sorted(results['sources'].items(), key=lambda item: int(item[0])):
        curve = source.get('curve', [])
        if len(curve) < 2:
            continue
        end, last = curve[-1]
        before = [value for step, value in curve if step <= 0.75 * end]
        gain = f'{last - before[-1]:+.1f}' if before else ''
        table.append([seed, f'{last:.1f}', gain, f'{max(value for _, value in curve):.1f}'])
    return table
