"""A suite's results as a Markdown page and as CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence

from benchmarks.adaptation.class_groups import GROUP_NOTE, class_group_table
from benchmarks.adaptation.class_tables import LEFT_OUT_NOTE, class_table, left_out_table
from benchmarks.adaptation.cost_table import COST_NOTE, cost_table
from benchmarks.adaptation.facts import (
    SIGNS_NOTE,
    SIGNS_TITLE,
    UNSEEN_NOTE,
    UNSEEN_TITLE,
    facts,
    failure_lines,
    notes,
)
from benchmarks.adaptation.measure import DAY
from benchmarks.adaptation.measured import Results, main_set, on_unseen, row_names, set_names
from benchmarks.adaptation.tables import (
    diagnostics_table,
    differences_table,
    means_table,
    source_table,
)
from benchmarks.adaptation.warning_signs import warning_signs
from mmseg_ccdistill.evaluation.report import markdown_table


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
        parts += [f'## Groups of classes on {dataset}', GROUP_NOTE]
        parts += [markdown_table(class_group_table(results, dataset))]
        parts += [f'## Classes on {dataset}', markdown_table(class_table(results, dataset))]
        left_out = left_out_table(results, dataset)
        if len(left_out) > 1:
            parts += [LEFT_OUT_NOTE, markdown_table(left_out)]
    for name in results['unseen']:
        own = on_unseen(results, name)
        parts += [f'## {UNSEEN_TITLE}: {name}', UNSEEN_NOTE, markdown_table(means_table(own, name))]
        parts += ['Differences in mIoU:', markdown_table(differences_table(own, name))]
        parts += [markdown_table(class_table(own, name))]
    costs = cost_table(results)
    if len(costs) > 1:
        parts += ['## Cost', COST_NOTE, markdown_table(costs)]
    source = source_table(results)
    if len(source) > 1:
        parts += ['## Source stages', markdown_table(source)]
    diagnostics = diagnostics_table(results)
    if len(diagnostics) > 1:
        parts += ['## Diagnostics at the end', markdown_table(diagnostics)]
    signs = warning_signs(results)
    if signs:
        parts += [f'## {SIGNS_TITLE}', SIGNS_NOTE, '\n'.join(f'- {sign}' for sign in signs)]
    if results['failures']:
        parts += ['## Failed', '\n'.join(f'- {line}' for line in failure_lines(results))]
    return '\n\n'.join(parts) + '\n'


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
