"""Tables of a suite's results, as rows of text, in Markdown and as CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from benchmarks.adaptation.measure import DAY
from benchmarks.adaptation.rows import BASELINE, FULL, ORACLE, ROWS, SOURCE_ONLY
from benchmarks.adaptation.statistics import (
    Estimate,
    closed_share,
    paired_difference,
    spread,
)
from mmseg_ccdistill.evaluation.published import published_rows
from mmseg_ccdistill.evaluation.report import markdown_table

Results = Mapping[str, Any]
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
}

#: What :func:`left_out_table` shows.
LEFT_OUT_NOTE = (
    'Difference in mIoU to w/o CDC and CDS with one class left out of the mean; in brackets the difference in '
    'IoU of that class.'
)


def row_names(results: Results) -> list[str]:
    """Rows that have a result, in the order of the tables."""
    return [name for name in ROWS if results['runs'].get(name)]


def set_names(results: Results) -> list[str]:
    """Sets that were measured, the night sets first."""
    sets = [s for row in results['runs'].values() for run in row.values() for s in run['sets']]
    return sorted(dict.fromkeys(sets), key=lambda name: name == DAY)


def night_sets(results: Results) -> list[str]:
    """Sets on which M_n was measured."""
    return [name for name in set_names(results) if name != DAY]


def main_set(results: Results) -> str:
    """The set of the per-class table and of the curves: the first."""
    return set_names(results)[0]


def mious(results: Results, row: str, dataset: str) -> dict[str, float]:
    """MIoU in percent by seed; empty if there is none."""
    runs = results['runs'].get(row, {})
    return {s: run['sets'][dataset]['mIoU'] for s, run in runs.items() if dataset in run['sets']}


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


def class_table(results: Results, dataset: str) -> Table:
    """Mean IoU over seeds of every class that has pixels in the ground truth of some seed.

    Args:
        results: Content of ``results.json``.
        dataset: Name of the set.

    Returns:
        A head with the rows of the suite, and a row for each class.
    """
    rows = [name for name in row_names(results) if mious(results, name, dataset)]
    runs = {
        name: [r['sets'][dataset] for r in results['runs'][name].values() if dataset in r['sets']]
        for name in rows
    }
    table = [['class', *(ROWS[name].title for name in rows)]]
    for index, name in enumerate(results['classes']):
        if not any(s['label_pixels'][index] for scores in runs.values() for s in scores):
            continue
        cells = []
        for scores in runs.values():
            values = [s['IoU'][index] for s in scores if s['label_pixels'][index]]
            cells.append(f'{sum(values) / len(values):.1f}' if values else '')
        table.append([name, *cells])
    return table


def _iou_by_seed(results: Results, row: str, dataset: str) -> dict[str, np.ndarray]:
    """IoU of every class by seed; NaN for a class that occurs neither in labels nor in predictions."""
    runs = results['runs'].get(row, {})
    return {
        seed: np.array(run['sets'][dataset]['IoU'], dtype=np.float64)
        for seed, run in runs.items()
        if dataset in run['sets']
    }


def left_out_table(results: Results, dataset: str) -> Table:
    """Differences to the baseline with one class left out of the mean: does a single class carry a row?

    Args:
        results: Content of ``results.json``.
        dataset: Name of the set.

    Returns:
        A head with the rows of the suite; a row for the mean of all classes, then one for each class that some label
        of the set has: the mean difference in mIoU without it, and its own mean difference in IoU.
    """
    reference = _iou_by_seed(results, BASELINE, dataset)
    rows = [n for n in row_names(results) if n != BASELINE and mious(results, n, dataset)]
    of_row = {name: _iou_by_seed(results, name, dataset) for name in rows}
    common = {name: sorted(set(iou) & set(reference), key=int) for name, iou in of_row.items()}
    rows = [name for name in rows if common[name]]
    if not rows:
        return [['class left out']]
    pixels = np.array(
        [
            run['sets'][dataset]['label_pixels']
            for run in results['runs'][BASELINE].values()
            if dataset in run['sets']
        ]
    )

    def text(name: str, index: int | None) -> str:
        kept = np.arange(len(results['classes'])) != index
        pairs = [(of_row[name][seed], reference[seed]) for seed in common[name]]
        without = np.mean([np.nanmean(a[kept]) - np.nanmean(b[kept]) for a, b in pairs])
        if index is None:
            return f'{without:+.1f}'
        own = np.array([a[index] - b[index] for a, b in pairs])
        own = own[~np.isnan(own)]
        return f'{without:+.1f} ({own.mean():+.1f})' if len(own) else f'{without:+.1f}'

    table = [['class left out', *(ROWS[name].title for name in rows)]]
    table.append(['none', *(text(name, None) for name in rows)])
    for index, title in enumerate(results['classes']):
        if pixels[:, index].any():
            table.append([title, *(text(name, index) for name in rows)])
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


def code_states(results: Results) -> list[str]:
    """Commits that the source stages, trainings and measurements started with, each once.

    Args:
        results: Content of ``results.json``.
    """
    runs = [run for row in results['runs'].values() for run in row.values()]
    unknown = [{'commit': None, 'dirty': None}]
    items = [*results['sources'].values(), *runs]
    states = [state for item in items for state in item['code'] or unknown]
    changes = {True: ', with changes that are not committed', None: ', changes unknown', False: ''}
    return sorted({(s['commit'] or 'commit unknown') + changes[s['dirty']] for s in states})


def facts(results: Results) -> dict[str, str]:
    """How the numbers came about, by heading."""
    settings = results['settings']
    worlds = [str(results['worlds'][seed]) for seed in sorted(results['worlds'], key=int)]
    found = {
        'date': results['date'],
        'code of the runs': '\n'.join(code_states(results)),
        'command': '\n'.join(results['commands']),
        'lengths': f'{settings["source_iters"]} iterations of the shared source stage, then '
        f'{settings["adapt_iters"]} of every row',
        'seeds': ', '.join(sorted(results['seeds'], key=int)),
        'rendered worlds': ', '.join(worlds),
        'machine': results['device'],
        'versions': ', '.join(f'{name} {value}' for name, value in results['versions'].items()),
        'duration': f'{results["seconds"] / 60:.0f} minutes of training and measuring, added up over processes',
    }
    for name, options in results['variants'].items():
        found[f'variant {name}'] = ' '.join(f'{key}={value}' for key, value in options.items())
    if settings.get('share', 1) != 1:
        found['data'] = f'a share of {settings["share"]} of the rendered frames: a trial'
    return {name: text for name, text in found.items() if text}


def notes(results: Results) -> list[str]:
    """How to read the tables, and what they are not."""
    lines = [
        'mIoU in percent. Every row of a seed starts from the same source stage and trains equally long; source-only '
        'continues the source stage.',
        'Intervals are 95 % Student-t intervals over seeds; differences are paired by seed. A number with n = 1 has '
        'no interval.',
        'Night labels were used for measuring and, in the oracle, for training its upper bound; no other row sees '
        'them. The last checkpoint counts, never the best one.',
    ]
    if results['suite'] == 'mini':
        lines += [
            'Each seed has a rendered world of its own, so a seed covers the streets and the noise of the training. '
            'The share of the gap is (row - source-only) / (oracle - source-only), a ratio of means; its interval is '
            'that of the delta method, with seeds paired.',
            'This is a small network from random weights on rendered streets. It tests the method as a mechanism; it '
            'does not reproduce the numbers of the paper.',
        ]
    elif results['suite'] == 'real':
        lines.append(
            'All seeds share one set of frames: the spread is that of the training alone. The small network starts '
            'from random weights; it does not reproduce the numbers of the paper.'
        )
    else:
        lines.append(
            'Measured on DZ-val (50 images); the paper tests on DZ-test (151 images, another set).'
        )
    return [
        *lines,
        "The paper's numbers are those of its Table 3 on DZ-test with a pretrained RefineNet-R101: compare signs and "
        'order, not sizes.',
    ]


def markdown_report(results: Results) -> str:
    """Write the report as a Markdown page.

    Args:
        results: Content of ``results.json``.
    """
    parts = [
        f'# {results["title"]}',
        '\n'.join(
            f'- {name}: {", ".join(text.splitlines())}' for name, text in facts(results).items()
        ),
        '\n'.join(f'- {note}' for note in notes(results)),
    ]
    for name in set_names(results):
        parts += [f'## mIoU on {name}', markdown_table(means_table(results, name))]
        if name != DAY:
            parts += ['Differences in mIoU:', markdown_table(differences_table(results, name))]
    if results['runs']:
        dataset = main_set(results)
        parts += [f'## Classes on {dataset}', markdown_table(class_table(results, dataset))]
        left_out = left_out_table(results, dataset)
        if len(left_out) > 1:
            parts += [LEFT_OUT_NOTE, markdown_table(left_out)]
    diagnostics = diagnostics_table(results)
    if len(diagnostics) > 1:
        parts += ['## Diagnostics at the end', markdown_table(diagnostics)]
    if results['failures']:
        parts += ['## Failed', '\n'.join(f'- {line}' for line in failure_lines(results))]
    return '\n\n'.join(parts) + '\n'


def failure_lines(results: Results) -> list[str]:
    """One line for each stage that failed."""
    return [f'{name}: {text.splitlines()[-1]}' for name, text in results['failures'].items()]


def csv_report(results: Results) -> str:
    """One line for each run and set, with the IoU of every class.

    Args:
        results: Content of ``results.json``.
    """
    out = io.StringIO()
    writer = csv.writer(out, lineterminator='\n')
    writer.writerow(
        ['row', 'seed', 'world', 'set', 'images', 'mIoU', *results['classes'], 'seconds']
    )
    for name in row_names(results):
        for seed, run in sorted(results['runs'][name].items(), key=lambda item: int(item[0])):
            for dataset, scores in run['sets'].items():
                iou: Sequence[float | None] = scores['IoU']
                writer.writerow(
                    [
                        *(name, seed, results['worlds'].get(seed, ''), dataset),
                        *(scores['images'], scores['mIoU']),
                        *('' if value is None else value for value in iou),
                        run['seconds'],
                    ]
                )
    return out.getvalue()
